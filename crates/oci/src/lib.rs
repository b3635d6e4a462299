//! What the OCI runtime command line does (<https://github.com/opencontainers/runtime-spec>, version 1.2), over the
//! sandbox: bundles in, containers out, their state in a directory. Arguments and output are the caller's.
//!
//! The road of a container: [`Runtime::create`] reads the bundle ([`spec`]), turns it into a plan ([`translate`]) and leaves
//! the process waiting at its gate; [`Runtime::start`] opens the gate, possibly from another process; [`Runtime::delete`]
//! removes what is left.
#![forbid(unsafe_code)]

mod console;
mod create;
mod default_spec;
mod error;
mod exec;
mod features;
mod listener;
mod outer;
mod runtime;
pub mod spec;
mod state;
pub mod stats;
pub mod translate;

pub use create::{CreateOptions, Ended, Started};
pub use default_spec::{default_spec, rootless_spec};
pub use error::OciError;
pub use exec::{ExecOptions, Executed};
pub use features::features;
pub use outer::Outer;
pub use runtime::{Process, Runtime};
pub use state::{Container, Status};

/// The version of the runtime specification that is implemented.
pub const SPEC_VERSION: &str = "1.2.0";

type Result<T, E = OciError> = std::result::Result<T, E>;
