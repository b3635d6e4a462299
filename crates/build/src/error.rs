//! Why a build failed.

use std::io;
use std::path::{Path, PathBuf};

use stockade_dockerfile::Diagnostics;

/// Everything that can go wrong in a build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile is wrong, or something that it names is missing: every place with its picture.
    #[error("{0}")]
    Dockerfile(Diagnostics),
    /// A step ended with another exit code than 0.
    #[error("{0}")]
    Step(Box<StepFailure>),
    /// No Dockerfile where one should be.
    #[error("there is no Dockerfile at `{}`; name one with `-f FILE`", .0.display())]
    NoDockerfile(PathBuf),
    /// The context is no directory.
    #[error("the build context `{path}` cannot be used: {why}", path = .path.display())]
    Context {
        /// The path.
        path: PathBuf,
        /// Why, and the next step.
        why: String,
    },
    /// An archive with a build context cannot be unpacked.
    #[error("the build context from {name} cannot be unpacked: {why}; pack it again")]
    Archive {
        /// Where it came from.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// `.dockerignore` is wrong.
    #[error("{}: {source}", path.display())]
    Ignore {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: stockade_dockerfile::ignore::IgnoreError,
    },
    /// `--target` names no stage.
    #[error("there is no stage `{target}` in `{file}`; its stages are {known}")]
    NoTarget {
        /// As given.
        target: String,
        /// The Dockerfile.
        file: String,
        /// The stages.
        known: String,
    },
    /// An option's value cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A base image is nowhere to be had.
    #[error("{0}")]
    Base(Box<crate::base::NoBase>),
    /// A download failed.
    #[error("cannot download `{url}`: {why}")]
    Download {
        /// From where.
        url: String,
        /// What happened.
        why: String,
    },
    /// A Git repository cannot be had.
    #[error("cannot fetch the repository `{url}`: {why}")]
    Git {
        /// Without user and password.
        url: String,
        /// What happened, and the next step.
        why: String,
    },
    /// Another stage failed, or the person pressed Ctrl-C.
    #[error("the build was cancelled")]
    Cancelled,
    /// A step could not be started.
    #[error("cannot run the step `{step}`")]
    Engine {
        /// The instruction.
        step: String,
        /// Why.
        #[source]
        source: stockade_engine::EngineError,
    },
    /// The engine itself.
    #[error(transparent)]
    EngineSetup(#[from] stockade_engine::EngineError),
    /// The image store.
    #[error(transparent)]
    Image(#[from] stockade_image::ImageError),
    /// Locks and durable writes.
    #[error(transparent)]
    Durable(#[from] stockade_durable::DurableError),
    /// A file operation failed.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// Verb phrase.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// A step that ran and failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// The Dockerfile's name.
    pub file: String,
    /// 1-based line of the instruction; 0 for a trigger of a base image.
    pub line: u32,
    /// The lines around it, the instruction's own marked with `>>>`.
    pub excerpt: String,
    /// The instruction as written.
    pub instruction: String,
    /// What the step returned.
    pub exit_code: i32,
    /// The end of its output.
    pub tail: String,
}

impl std::fmt::Display for StepFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.instruction.chars().take(200).collect();
        write!(f, "{}:{}: `{shown}` failed with exit code {}", self.file, self.line, self.exit_code)?;
        match self.exit_code {
            126 => f.write_str(": its program is not executable"),
            127 => f.write_str(": a program was not found"),
            137 => f.write_str(": it was killed (out of memory?)"),
            _ => Ok(()),
        }
    }
}

impl BuildError {
    pub(crate) fn io<'p, E: Into<io::Error>>(
        what: &'static str,
        path: &'p Path,
    ) -> impl FnOnce(E) -> BuildError + use<'p, E> {
        move |source| BuildError::Io { what, path: path.to_owned(), source: source.into() }
    }

    /// The error with its causes, in one line.
    pub(crate) fn chain(&self) -> String {
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

    /// Whether the words of the request were wrong, so that nothing was tried.
    pub fn is_usage(&self) -> bool {
        matches!(self, BuildError::Usage(_) | BuildError::NoTarget { .. } | BuildError::Context { .. })
    }
}
