//! An OCI runtime: a [`Plan`] in, a confined process out.
//!
//! This is the only room that speaks to the kernel directly, and the only one with `unsafe`.
//! It knows nothing of images or network policy: it is given directories and limits.

pub mod plan;

pub use plan::*;
