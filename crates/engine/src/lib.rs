//! A container's life: create, start, exec, stop, logs, events, restart, removal, and build steps.
//!
//! State on disk is the truth. Each running container has one small monitor process; every other process that looks
//! at a container reads its files and checks whether that monitor is alive. There is no daemon.
#![forbid(unsafe_code)]

mod engine;
mod error;
mod level;
pub mod step;

pub use engine::Engine;
pub use error::EngineError;
pub use level::{Level, NetMode};
pub use step::{Cancel, StepRequest, StepStream};
