//! Why an image could not be minimized.

use std::io;
use std::path::{Path, PathBuf};

use stockade_engine::EngineError;
use stockade_image::ImageError;

use crate::trace::Ending;

/// Why an image could not be minimized. Each names the thing, the cause and the next step.
#[derive(Debug, thiserror::Error)]
pub enum MinimizeError {
    /// The image has no command of its own.
    #[error("the image has neither an entry point nor a command; say what to trace with --run")]
    NothingToRun,
    /// A traced command failed, so that its trace is not whole.
    #[error("`{command}` ended with exit code {code}: what it needs cannot be told from a run that failed")]
    Failed {
        /// The command.
        command: String,
        /// Its exit code.
        code: i32,
    },
    /// A traced command could not be started.
    #[error("`{command}` cannot be started")]
    Start {
        /// The command.
        command: String,
        /// Why not.
        #[source]
        source: EngineError,
    },
    /// The minimal image does not do what the image did.
    #[error("on the minimal files `{command}` {after}, where it {before}; keep what it misses with --keep PATH")]
    NotEnough {
        /// The command.
        command: String,
        /// How it ended on the whole image.
        before: Ending,
        /// How it ended on the minimal one.
        after: Ending,
    },
    /// The file system does not keep access times.
    #[error(
        "`{path}` is on a file system without access times (`noatime`): mount it with `relatime`, the kernel's default"
    )]
    NoAccessTimes {
        /// A directory of the store.
        path: PathBuf,
    },
    /// A pattern of `--keep`.
    #[error("`{pattern}` fits nothing in the image")]
    NothingFits {
        /// The pattern.
        pattern: String,
    },
    /// The image store.
    #[error(transparent)]
    Store(#[from] ImageError),
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl MinimizeError {
    /// For `map_err` after a file operation.
    pub(crate) fn on<'p>(what: &'static str, path: &'p Path) -> impl Fn(io::Error) -> MinimizeError + 'p {
        move |source| MinimizeError::Io { what, path: path.to_owned(), source }
    }
}
