//! What can go wrong with a container, in words for the person who asked.

use std::io;
use std::path::PathBuf;

/// Errors of the engine. Messages name the thing, the cause and, where there is one, the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// An operation without a path failed.
    #[error("cannot {what}")]
    System {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The caller cancelled the work.
    #[error("cancelled")]
    Cancelled,
}
