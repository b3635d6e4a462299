//! A container's output on disk: docker's `json-file` format, one JSON object a line, with rotation.

mod read;
mod write;

pub use read::{LogEntry, LogQuery};
pub(crate) use write::{LogWriter, Stream};

/// `log`, `log.1`, `log.2`, …: the older, the higher.
fn rotated(log: &std::path::Path, number: u32) -> std::path::PathBuf {
    if number == 0 { log.to_owned() } else { log.with_extension(number.to_string()) }
}
