//! What can go wrong with a container, in words for the person who asked.

use std::io;
use std::path::{Path, PathBuf};

use stockade_sandbox::SandboxError;

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
    /// Nobody has this name or id.
    #[error("no such container: {name}")]
    NoSuchContainer {
        /// As typed.
        name: String,
    },
    /// An id prefix fits several.
    #[error("`{name}` fits several containers ({candidates}); give more digits of the id")]
    Ambiguous {
        /// As typed.
        name: String,
        /// Some of them.
        candidates: String,
    },
    /// The name belongs to another container.
    #[error("the name `{name}` is in use by container {holder}; remove or rename that one, or choose another name")]
    NameInUse {
        /// The name.
        name: String,
        /// Short id of the holder.
        holder: String,
    },
    /// The name breaks docker's rule.
    #[error("`{name}` is no container name: letters, digits, `_`, `.`, `-`, and the first one a letter or digit")]
    BadName {
        /// As typed.
        name: String,
    },
    /// All user id ranges are taken.
    #[error("no free range of 65536 user ids is left; remove containers, or run this one with `--confine compat`")]
    NoIdRange,
    /// No such image in the store.
    #[error("no such image: {name}; build it, or bring it in with `stockade load` or `stockade import`")]
    NoSuchImage {
        /// As typed.
        name: String,
    },
    /// An option's value makes no sense, or contradicts another.
    #[error("{message}")]
    Usage {
        /// Which, and what to use instead.
        message: String,
    },
    /// The container is not in the state that the verb needs.
    #[error("container {name} is {status}{hint}")]
    WrongState {
        /// As typed.
        name: String,
        /// What it is.
        status: String,
        /// "; start it first", or empty.
        hint: &'static str,
    },
    /// The record on disk cannot be read.
    #[error("the record of container {id} is damaged (`{path}`); `stockade rm -f {id}` removes the container")]
    Damaged {
        /// Short id.
        id: String,
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: serde_json::Error,
    },
    /// The container could not be started; its monitor says why.
    #[error("{message}")]
    Start {
        /// The monitor's words, causes included.
        message: String,
        /// 125, 126 or 127.
        exit_code: u8,
    },
    /// The monitor answered a request with an error.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// The monitor died while it was being asked.
    #[error("the container's monitor is gone; look at `stockade ps -a` for what became of the container")]
    MonitorGone,
    /// A volume error.
    #[error("{message}")]
    Volume {
        /// Which volume, and what is wrong.
        message: String,
    },
    /// A path inside a container.
    #[error("cannot {what} `{inside}` in container {container}")]
    Inside {
        /// Verb phrase.
        what: &'static str,
        /// Path inside.
        inside: String,
        /// Container as typed.
        container: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The sandbox could not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The network could not be set up.
    #[error(transparent)]
    Network(#[from] stockade_network::NetworkError),
    /// The image store.
    #[error(transparent)]
    Image(#[from] stockade_image::ImageError),
    /// A lock or a durable write.
    #[error(transparent)]
    Durable(#[from] stockade_durable::DurableError),
}

impl EngineError {
    /// Docker's exit code for a container that could not be started: 125, 126 (not executable) or 127 (not found).
    pub fn exit_code(&self) -> u8 {
        match self {
            EngineError::Start { exit_code, .. } => *exit_code,
            EngineError::Sandbox(e) if e.is_not_found() => 127,
            EngineError::Sandbox(e) if e.is_not_executable() => 126,
            _ => 125,
        }
    }

    /// Whether the words or the combination of options were wrong, so that nothing was tried.
    pub fn is_usage(&self) -> bool {
        matches!(self, EngineError::Usage { .. } | EngineError::BadName { .. })
    }

    /// The message with all its causes, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let words = cause.to_string();
            if !text.contains(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            next = cause.source();
        }
        text
    }

    pub(crate) fn usage(message: impl Into<String>) -> EngineError {
        EngineError::Usage { message: message.into() }
    }
}

/// For `map_err` after an operation on a path.
pub(crate) fn io_error<'p, E: Into<io::Error>>(
    what: &'static str,
    path: &'p Path,
) -> impl FnOnce(E) -> EngineError + 'p {
    move |source| EngineError::Io { what, path: path.to_owned(), source: source.into() }
}

/// For `map_err` after an operation without one.
pub(crate) fn system_error<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> EngineError {
    move |source| EngineError::System { what, source: source.into() }
}
