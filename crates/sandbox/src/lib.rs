//! An OCI runtime: a [`Plan`] in, a confined process out.
//!
//! This is the only room that speaks to the kernel directly, and the only one with `unsafe` (in its `sys` module).
//! It knows nothing of images or network policy: it is given directories and limits.
//!
//! The road of a container: [`create`] (see the `launch` module for who does what), [`Created::start`],
//! [`Running::wait`]; [`exec`] for further processes; [`cgroup`] to count, limit, pause and kill.

pub mod caps;
pub mod cgroup;
mod child;
pub mod container;
pub mod defaults;
mod error;
mod extra;
pub mod gate;
mod hook;
mod ids;
mod init;
pub mod kernel;
mod landlock;
mod launch;
mod limits;
pub mod mapped;
mod old_kernel;
pub mod plan;
pub mod process;
pub mod rootless;
pub mod seccomp;
mod stage;
mod sync;
mod sys;
pub mod user;

// Tests share their support with the integration tests, which name this crate.
#[cfg(test)]
extern crate self as stockade_sandbox;

pub use container::{Created, ExitStatus, Running, Target, create, exec, exec_with};
pub use error::SandboxError;
pub use extra::*;
pub use hook::run_hooks;
pub use mapped::MappedFile;
pub use plan::*;
pub use user::{User, resolve_user, resolve_user_in};
