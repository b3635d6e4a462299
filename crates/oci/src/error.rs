//! What can go wrong, in words that callers of runtimes look for.

use std::path::PathBuf;

use stockade_sandbox::SandboxError;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The bundle or its configuration is not valid.
    #[error("config.json: `{what}` {why}")]
    Config {
        /// The property, as a path: `process.cwd`.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A property or option that cannot be honoured.
    #[error("`{what}` is not supported: {why}")]
    Unsupported {
        /// The property or option.
        what: String,
        /// Why, and what to use instead.
        why: String,
    },
    /// The id cannot be one.
    #[error("`{id}` is not a container id: use letters, digits, `_`, `+`, `-` and `.`, at most 1024")]
    BadId {
        /// What was given.
        id: String,
    },
    /// There is one already.
    #[error("container with id `{id}` exists already; delete it or choose another id")]
    Exists {
        /// The id.
        id: String,
    },
    /// There is none.
    #[error("container `{id}` does not exist")]
    NotFound {
        /// The id.
        id: String,
    },
    /// The container is in another state than the operation needs.
    #[error("cannot {what} container `{id}`: it is {status}{hint}")]
    WrongStatus {
        /// The operation.
        what: &'static str,
        /// The id.
        id: String,
        /// Its state.
        status: &'static str,
        /// What to do, beginning with a separator.
        hint: &'static str,
    },
    /// A signal for a container without a process. (The words are those that containerd looks for.)
    #[error("container not running: `{id}` is {status}")]
    NotRunning {
        /// The id.
        id: String,
        /// Its state.
        status: &'static str,
    },
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file is no JSON of the expected form.
    #[error("cannot read `{path}`")]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's answer.
        #[source]
        source: serde_json::Error,
    },
    /// The sandbox's own.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Storing state failed.
    #[error(transparent)]
    Durable(#[from] stockade_durable::DurableError),
}

impl OciError {
    pub(crate) fn config(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Config { what: what.into(), why: why.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), why: why.into() }
    }

    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, path: path.into(), source }
    }

    /// The error with its causes, in one line.
    ///
    /// A program that cannot be executed is told in the words that dockerd and containerd look for to choose their own
    /// exit codes (127 and 126).
    pub fn chain(&self) -> String {
        if let Self::Sandbox(error @ SandboxError::Exec { program, .. }) = self {
            if error.is_not_found() {
                let why = if program.contains('/') {
                    "no such file or directory"
                } else {
                    "executable file not found in $PATH"
                };
                return format!("{error}: exec: \"{program}\": {why}");
            }
            let source = std::error::Error::source(error).map_or(String::new(), |s| s.to_string().to_lowercase());
            return format!("{error}: exec: \"{program}\": {source}");
        }
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
