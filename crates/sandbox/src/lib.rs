//! An OCI runtime: a [`Plan`] in, a confined process out.
//!
//! This is the only room that speaks to the kernel directly, and the only one with `unsafe`.
//! It knows nothing of images or network policy: it is given directories and limits.

pub mod caps;
pub mod cgroup;
pub mod container;
pub mod defaults;
mod error;
pub mod mapped;
pub mod plan;
pub mod process;
pub mod seccomp;
pub mod user;

pub use container::{Created, ExitStatus, Running, Target, create, exec};
pub use error::SandboxError;
pub use mapped::MappedFile;
pub use plan::*;
pub use user::{User, resolve_user, resolve_user_in};
