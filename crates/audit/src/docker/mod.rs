//! Facts from a Docker daemon.

pub mod api;
pub mod facts;
pub(crate) mod unit;
