//! What can go wrong with names, layers and the store.

use std::io;
use std::path::{Path, PathBuf};

use stockade_durable::DurableError;

use crate::digest::Digest;

/// Result of this room.
pub type Result<T, E = ImageError> = std::result::Result<T, E>;

/// What can go wrong with names, layers and the store. Each variant names the thing and the cause; variants are apart
/// where the caller can give a different next step.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The text is not an image name. `reason` says which part is wrong.
    #[error("`{text}` is not an image name: {reason}")]
    InvalidReference {
        /// What was given (at most 300 characters of it).
        text: String,
        /// The part that is wrong, and what is allowed.
        reason: String,
    },
    /// No image of this name or id is in the store.
    #[error("no image `{name}` in the store")]
    NotFound {
        /// The name or id that was looked up.
        name: String,
    },
    /// An id prefix fits more than one image.
    #[error("`{prefix}` is the beginning of more than one image id: {}", matches.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Short ids that fit.
        matches: Vec<String>,
    },
    /// Containers use the image.
    #[error("image `{image}` is used by {}", holders.join(", "))]
    InUse {
        /// The name that the caller used.
        image: String,
        /// Container ids.
        holders: Vec<String>,
    },
    /// The request contradicts the state of the store; force may help.
    #[error("cannot remove image `{image}`: {reason}")]
    Conflict {
        /// The name or id that the caller used.
        image: String,
        /// Why not.
        reason: String,
    },
    /// Content does not have the digest that it was promised under.
    #[error("{what} is damaged: expected {expected}, but its content is {actual}")]
    DigestMismatch {
        /// Which thing.
        what: String,
        /// The promised digest.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// An unpacked layer is not what its digest says.
    #[error(
        "layer {layer} was changed on disk: {why}; `stockade system check --deep --fix` unpacks it again from its blob"
    )]
    Altered {
        /// First digits of its diff id.
        layer: String,
        /// What differs.
        why: String,
    },
    /// A stream ended before its content was complete.
    #[error("{what} is cut off: {detail}")]
    Truncated {
        /// Which thing.
        what: String,
        /// Where it ended.
        detail: String,
    },
    /// A blob that an image needs is not in the store.
    #[error("blob {digest} of {needed_by} is missing from the store")]
    MissingBlob {
        /// The blob.
        digest: Digest,
        /// What needs it.
        needed_by: String,
    },
    /// A document or archive breaks its format.
    #[error("{what} is not valid: {reason}")]
    Malformed {
        /// Which thing.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Valid, but of a kind that Stockade does not read.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// Which thing.
        what: String,
        /// What it is, and what is supported.
        reason: String,
    },
    /// A layer entry would reach outside the layer's root, or cannot be created there.
    #[error("layer entry `{entry}` is refused: {reason}")]
    BadEntry {
        /// The entry's name, escaped for display.
        entry: String,
        /// Why it is refused.
        reason: String,
    },
    /// A layer or archive is larger than a limit of [`crate::layer::Limits`].
    #[error("{what} exceeds the limit of {limit} {unit}")]
    OverLimit {
        /// Which thing, and which of its sizes.
        what: String,
        /// The limit.
        limit: u64,
        /// Unit of the limit: `bytes`, `entries`, `levels`.
        unit: &'static str,
    },
    /// A file of a directory has no form in a layer tar.
    #[error("`{path}` cannot be stored in a layer: {reason}")]
    Unrepresentable {
        /// The path in the directory.
        path: String,
        /// Why.
        reason: String,
    },
    /// A `--change` instruction is not understood.
    #[error("cannot apply change `{text}`: {reason}")]
    BadChange {
        /// The instruction.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A holder or cache name that cannot be used as a file name.
    #[error("`{name}` cannot be used as a name here: {reason}")]
    BadName {
        /// What was given.
        name: String,
        /// What is allowed.
        reason: &'static str,
    },
    /// The file system is full (or the quota is used up). What was being written has been removed again.
    #[error("no space left to {what} `{path}`")]
    NoSpace {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
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
    /// Another process held a lock for too long.
    #[error("the image store is busy: `{path}` is held by another stockade process")]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
}

impl ImageError {
    /// Makes [`ImageError::NoSpace`] or [`ImageError::Io`], whichever `source` is. An error of this room that
    /// travelled inside an [`io::Error`] comes out again as itself.
    pub(crate) fn io(what: &'static str, path: impl AsRef<Path>, source: io::Error) -> ImageError {
        match source.downcast::<ImageError>() {
            Ok(inner) => inner,
            Err(source) => {
                let path = path.as_ref().to_owned();
                if is_no_space(&source) {
                    ImageError::NoSpace { what, path, source }
                } else {
                    ImageError::Io { what, path, source }
                }
            }
        }
    }

    /// For `map_err` after a file operation.
    pub(crate) fn on<'p, E: Into<io::Error>>(what: &'static str, path: &'p Path) -> impl FnOnce(E) -> ImageError + 'p {
        move |source| ImageError::io(what, path, source.into())
    }

    pub(crate) fn malformed(what: impl Into<String>, reason: impl ToString) -> ImageError {
        ImageError::Malformed { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn entry(name: &[u8], reason: impl Into<String>) -> ImageError {
        ImageError::BadEntry { entry: shown(name), reason: reason.into() }
    }

    /// Whether the cause is a full disk or quota.
    pub fn is_no_space(&self) -> bool {
        matches!(self, ImageError::NoSpace { .. })
    }
}

/// Carries an error of this room through an interface that knows only [`io::Error`]; `ImageError::io` takes it out again.
impl From<ImageError> for io::Error {
    fn from(error: ImageError) -> io::Error {
        io::Error::other(error)
    }
}

impl From<DurableError> for ImageError {
    fn from(error: DurableError) -> ImageError {
        match error {
            DurableError::Io { what, path, source } => ImageError::io(what, path, source),
            DurableError::Busy { path, .. } => ImageError::Busy { path },
        }
    }
}

fn is_no_space(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(rustix::io::Errno::NOSPC.raw_os_error()) || code == Some(rustix::io::Errno::DQUOT.raw_os_error())
}

/// Untrusted bytes as one line of printable text, at most 200 characters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text: String = bytes.escape_ascii().map(char::from).take(200).collect();
    if let Ok(utf8) = std::str::from_utf8(bytes)
        && !utf8.chars().any(char::is_control)
    {
        text = utf8.chars().take(200).collect();
    }
    text
}
