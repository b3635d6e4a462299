//! How far a transfer has come, for whoever shows it.

use stockade_image::Digest;

/// What is happening with a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobState {
    /// It is to be transferred; bytes.
    Queued(u64),
    /// Another process transfers it.
    Waiting,
    /// Bytes that have been transferred, of all; both count what an earlier try transferred.
    Transfer(u64, u64),
    /// All bytes are there and being checked and unpacked.
    Unpacking,
    /// The other side has it already.
    Exists,
    /// The registry took it from another of its repositories.
    Mounted(String),
    /// A try failed, another follows; the words of the error.
    Retrying(String),
    /// It is there.
    Done,
}

/// Receives progress, from several threads at once.
pub trait Progress: Sync {
    /// Something happened with a blob.
    fn blob(&self, digest: &Digest, state: BlobState) {
        let _ = (digest, state);
    }
    /// Something a person should see once. One sentence.
    fn note(&self, text: &str) {
        let _ = text;
    }
    /// Asked often; `true` ends the transfer with [`crate::RegistryError::Cancelled`].
    fn cancelled(&self) -> bool {
        false
    }
}

/// Shows nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {}
