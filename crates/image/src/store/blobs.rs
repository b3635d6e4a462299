//! Blobs: content by digest under `blobs/sha256`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use super::Store;
use super::locks::Shared;
use super::session::StagedFile;
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::HashingWriter;

/// Largest document (manifest, configuration, index) that is read into memory, in bytes. Registries refuse manifests
/// above 4 MiB; configurations with thousands of history lines stay below 1 MiB.
pub const MAX_DOCUMENT_BYTES: u64 = 16 << 20;

/// A blob that was put into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

impl Store {
    /// Stores all of `reader`, durably. The blob stays at least while this `Store` value lives.
    ///
    /// Errors: `DigestMismatch` if `expected` is given and not met: nothing is stored then.
    pub fn put_blob(&self, mut reader: impl Read, expected: Option<&Digest>) -> Result<BlobInfo> {
        let staged = StagedFile::new(self.session()?)?;
        let mut writer = HashingWriter::new(&staged.file);
        io::copy(&mut reader, &mut writer).map_err(ImageError::on("write", &staged.path))?;
        let (_, digest, size) = writer.finish();
        if let Some(expected) = expected.filter(|e| **e != digest) {
            return Err(ImageError::DigestMismatch { what: "blob".into(), expected: *expected, actual: digest });
        }
        staged.file.sync_data().map_err(ImageError::on("write", &staged.path))?;
        self.publish_blob(&Shared::take(self.root())?, &staged, &digest)?;
        Ok(BlobInfo { digest, size })
    }

    /// Stores a document. One that is there already is not written again.
    pub(crate) fn put_document(&self, bytes: &[u8]) -> Result<BlobInfo> {
        let known = BlobInfo { digest: Digest::of(bytes), size: bytes.len() as u64 };
        let gc = Shared::take(self.root())?;
        if self.blob_size(&known.digest) == Some(known.size) {
            self.session()?.pin(&gc, [known.digest])?;
            return Ok(known);
        }
        drop(gc);
        self.put_blob(bytes, Some(&known.digest))
    }

    /// Moves a finished, synced file to its place. The directory is synced by whoever makes an image refer to it.
    pub(super) fn publish_blob(&self, gc: &Shared, staged: &StagedFile, digest: &Digest) -> Result<()> {
        self.session()?.pin(gc, [*digest])?;
        // Whatever was there has the same content, or is damaged.
        staged.publish(self.blob_path(digest))
    }

    /// Opens a blob; one that is made on demand is made now. Its bytes are not verified.
    ///
    /// Errors: `MissingBlob`; `DigestMismatch` if the directory that it is made of has changed.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_file(digest)?;
        File::open(&path).map_err(|e| missing_or(&path, digest, e))
    }

    /// Opens a blob that is a file already.
    ///
    /// Errors: `MissingBlob`.
    pub(super) fn open_stored_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|e| missing_or(&path, digest, e))
    }

    /// Reads a document and verifies its digest.
    ///
    /// Errors: `MissingBlob`, `DigestMismatch`, `OverLimit` above [`MAX_DOCUMENT_BYTES`].
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let file = self.open_blob(digest)?;
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(ImageError::on("read", &self.blob_path(digest)))?;
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(ImageError::OverLimit {
                what: format!("document {digest}"),
                limit: MAX_DOCUMENT_BYTES,
                unit: "bytes",
            });
        }
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(ImageError::DigestMismatch { what: format!("blob {digest}"), expected: *digest, actual });
        }
        Ok(bytes)
    }

    /// Where a blob is, or would be. [`Store::blob_file`] also makes one that is made on demand.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.layout_dir().join("blobs/sha256").join(digest.hex())
    }

    /// Length of a blob, `None` if it is neither there nor can be made.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.stored_blob_size(digest).or_else(|| self.on_demand(digest).map(|meta| meta.blob.size))
    }

    /// Length of a blob that is a file already.
    pub(super) fn stored_blob_size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.blob_path(digest)).ok().map(|m| m.len())
    }
}

fn missing_or(path: &std::path::Path, digest: &Digest, error: io::Error) -> ImageError {
    match error.kind() {
        io::ErrorKind::NotFound => ImageError::MissingBlob { digest: *digest, needed_by: "the image".into() },
        _ => ImageError::io("open", path, error),
    }
}
