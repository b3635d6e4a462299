//! A container's life: create, start, exec, stop, logs, events, restart, removal, and build steps.
//!
//! State on disk is the truth. Each running container has one small monitor process; every other process that looks
//! at a container reads its files and checks whether that monitor is alive. There is no daemon.
//!
//! - [`Engine`] is the handle; its methods are the verbs.
//! - [`CreateRequest`] is what was asked for, [`spec::Spec`] what it became against the image, [`Record`] that and
//!   what is true of the container now.
//! - [`Client`] is a connection to a monitor: attach, input, resize.
#![forbid(unsafe_code)]

mod binds;
mod client;
pub mod clock;
mod commit;
mod connect;
mod copy;
mod cp;
mod create;
mod diff;
mod engine;
mod error;
mod events;
mod exec;
mod explain;
pub mod id;
mod inside;
mod inspect;
mod layers;
mod level;
mod log;
mod merged;
mod monitor;
mod names;
mod paths;
mod plan;
mod ranges;
mod record;
mod remove;
mod request;
mod resolve;
mod restart;
mod runtime;
pub mod seccomp_file;
pub mod signals;
pub mod spec;
mod start;
pub mod step;
mod top;
mod unprivileged;
mod usage;
mod verbs;
mod volume;
mod weaken;
mod wire;

pub use client::{Client, Message};
pub use commit::CommitRequest;
pub use cp::{CopyOut, PathStat};
pub use create::Created;
pub use diff::{Change, ChangeKind, Layers};
pub use engine::Engine;
pub use error::EngineError;
pub use events::{Actor, Event};
pub use exec::{ExecProcess, ExecRequest};
pub use explain::{Explanation, Fact};
pub use level::{Level, NetMode};
pub use log::{LogEntry, LogQuery};
pub use monitor::{HealthResult, HealthState};
pub use record::{EndpointState, Record, State, Status};
pub use request::CreateRequest;
pub use restart::RestartPolicy;
pub use runtime::check_runtime;
pub use start::{StartOptions, Started};
pub use step::{Cancel, StepRequest, StepStream};
pub use top::{ProcessRow, Usage};
pub use unprivileged::single_id_note;
pub use usage::disk_bytes;
pub use verbs::UpdateRequest;
pub use volume::Volume;
pub use wire::Streams;
