//! Blobs that are made when somebody asks for them.
//!
//! A large layer that does not compress (media, archives, models) would lie in the store twice: as the directory that
//! containers stand on, and as a blob of the same size. Such a layer's blob is its tar as it is, so its digest is the
//! layer's diff id, and packing the directory again gives it. `push` and `save` do so, once; most images that are built
//! never need it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::Store;
use super::layers::Meta;
use super::locks::Shared;
use super::session::StagedFile;
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::{HashingWriter, PackOptions, PlainTarget, pack, sample};

/// Smallest layer whose blob is made on demand, in bytes of files.
pub(super) const MIN_BYTES: u64 = 64 << 20;

/// Whether a directory's layer should be stored once: its bytes lie in a few large files that do not compress, and none
/// has holes (where those lie is the file system's choice, and may change).
pub(super) fn is_worth_it(dir: BorrowedFd<'_>) -> Result<bool> {
    let found = sample(dir)?;
    Ok(found.large >= MIN_BYTES && found.large >= found.total / 4 * 3 && !found.sparse && found.is_dense())
}

/// The tar of an unpacked layer while it is read: for readers that do not need the blob to stay.
pub(super) fn stream(dir: &Path) -> Result<impl io::Read + Send + 'static> {
    let root = File::open(dir).map_err(ImageError::on("open", dir))?;
    let (reader, writer) = io::pipe().map_err(ImageError::on("read", dir))?;
    // A reader that stops early closes the pipe, and the packer ends with an error that nobody needs.
    std::thread::Builder::new()
        .name("layer-stream".into())
        .spawn(move || pack(root.as_fd(), &mut PlainTarget(io::BufWriter::new(writer)), &PackOptions::default()))
        .map_err(ImageError::on("read", dir))?;
    Ok(reader)
}

impl Store {
    /// The facts of the layer whose directory gives the blob with this digest.
    pub(super) fn on_demand(&self, digest: &Digest) -> Option<Meta> {
        self.meta(digest).ok().flatten().filter(|meta| meta.blob_on_demand && meta.blob.digest == *digest)
    }

    /// Where a blob is. One that is made on demand is made now, and stays.
    ///
    /// Errors: `DigestMismatch` if the directory that it is made of has changed, `NoSpace`, `Io`. A blob that is simply
    /// not there is not an error here.
    pub fn blob_file(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.blob_path(digest);
        if self.stored_blob_size(digest).is_none()
            && let Some(meta) = self.on_demand(digest)
        {
            let staged = StagedFile::new(self.session()?)?;
            self.pack_again(&meta, &staged.file)?;
            staged.file.sync_data().map_err(ImageError::on("write", &staged.path))?;
            self.publish_blob(&Shared::take(self.root())?, &staged, digest)?;
        }
        Ok(path)
    }

    /// Writes the tar of an unpacked layer.
    ///
    /// Errors: `DigestMismatch` if it is not the tar that the layer was made of, after all was written.
    pub(super) fn pack_again(&self, meta: &Meta, out: impl Write) -> Result<()> {
        let dir = self.layer_path(&meta.diff_id).join("fs");
        let root = File::open(&dir).map_err(ImageError::on("open", &dir))?;
        let mut target = PlainTarget(io::BufWriter::with_capacity(1 << 20, HashingWriter::new(out)));
        pack(root.as_fd(), &mut target, &PackOptions::default())?;
        let writer = target.0.into_inner().map_err(|e| ImageError::io("write", "layer", e.into_error()))?;
        let (_, actual, _) = writer.finish();
        if actual == meta.diff_id {
            return Ok(());
        }
        let what = format!("the directory of layer {}", meta.diff_id.short());
        Err(ImageError::DigestMismatch { what, expected: meta.diff_id, actual })
    }
}
