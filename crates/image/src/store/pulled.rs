//! What a registry client needs of the store: blobs that arrive in pieces, and images whose documents keep their bytes.
//!
//! A blob on its way lies under `<root>/partial/<digest>`. It outlives the process that began it, so that a pull that
//! was cut or killed goes on where it stopped; nothing refers to it before it is whole and verified.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Store;
use super::images::Image;
use super::layers::{Layer, check_digests, descriptor};
use super::locks::Shared;
use crate::config::Descriptor;
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::{Ingested, Keep};
use crate::reference::Reference;

/// A blob on its way, held by this process alone. Dropping it keeps what has arrived.
#[derive(Debug)]
pub struct Partial {
    digest: Digest,
    path: PathBuf,
    file: File,
}

impl Partial {
    /// The blob's promised digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many bytes have arrived. They are not verified: a power cut may have damaged them.
    pub fn bytes(&self) -> Result<u64> {
        self.file.metadata().map(|m| m.len()).map_err(ImageError::on("stat", &self.path))
    }

    /// Reads what has arrived, from the beginning, with a position of its own.
    pub fn reader(&self) -> Result<File> {
        File::open(&self.path).map_err(ImageError::on("open", &self.path))
    }

    /// Adds to the end.
    ///
    /// Errors: `NoSpace`, `Io`.
    pub fn append(&self, bytes: &[u8]) -> Result<()> {
        use std::io::Write;
        (&self.file).write_all(bytes).map_err(ImageError::on("write", &self.path))
    }

    /// Forgets what has arrived.
    pub fn restart(&self) -> Result<()> {
        self.file.set_len(0).map_err(ImageError::on("write", &self.path))
    }

    /// Removes it.
    pub fn discard(self) {
        // What stays is swept later.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Begins or continues to receive a blob. `None` while another pull receives it: ask again later, the store may
    /// have it then.
    pub fn partial(&self, digest: &Digest) -> Result<Option<Partial>> {
        let dir = self.partial_dir();
        stockade_durable::create_private_dir(&dir)?;
        let path = dir.join(digest.hex());
        loop {
            let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
            let file = opened.map_err(ImageError::on("open", &path))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(e) => return Err(ImageError::io("lock", &path, e.into())),
            }
            // Whoever had the lock may have published the file or removed it.
            if is_at(&file, &path) {
                return Ok(Some(Partial { digest: *digest, path, file }));
            }
        }
    }

    /// Makes a layer of a blob that a manifest promises. `whole` gives all its bytes from the beginning and has
    /// appended every one of them to `partial` by the time it ends. Both digests and the size must fit.
    ///
    /// Errors: `DigestMismatch`, `Truncated`, those of [`crate::layer::unpack`] and those of `whole`; nothing is
    /// stored then, and `partial` is left to the caller. The layer stays at least while this `Store` value lives.
    pub fn layer_from_partial(
        &self,
        partial: &Partial,
        whole: impl Read + Send,
        promised: &Descriptor,
        diff_id: &Digest,
    ) -> Result<Layer> {
        let check = |found: &Ingested| {
            check_digests(found, &promised.digest, diff_id)?;
            if found.blob_bytes != promised.size || partial.bytes()? != promised.size {
                let what = format!("layer blob {}", promised.digest.short());
                let detail = format!("it has {} bytes, not {}", found.blob_bytes, promised.size);
                return Err(ImageError::Truncated { what, detail });
            }
            self.publish_partial(partial)
        };
        self.ingest_layer(whole, Keep::Nothing, None, check, Some(&promised.media_type))
    }

    /// Moves a verified blob to its place. The layer follows; a blob without one is only content that nothing needs.
    fn publish_partial(&self, partial: &Partial) -> Result<()> {
        partial.file.sync_data().map_err(ImageError::on("sync", &partial.path))?;
        let gc = Shared::take(self.root())?;
        self.session()?.pin(&gc, [partial.digest])?;
        fs::rename(&partial.path, self.blob_path(&partial.digest)).map_err(ImageError::on("move", &partial.path))
    }

    /// A layer whose blob is in the store already, unpacked if it was not. `None` if the blob is missing or damaged.
    /// The layer stays at least while this `Store` value lives.
    pub fn promised_layer(&self, promised: &Descriptor, diff_id: &Digest) -> Result<Option<Layer>> {
        let present = || self.blob_size(&promised.digest) == Some(promised.size);
        if !present() {
            return Ok(None);
        }
        let layer = Layer { diff_id: *diff_id, descriptor: promised.clone() };
        match self.dirs_of(std::slice::from_ref(&layer)) {
            // It is pinned from here on; a collector may have taken it just before.
            Ok(_) => Ok(present().then_some(layer)),
            Err(e) if e.is_no_space() => Err(e),
            Err(_) => Ok(None),
        }
    }

    /// Makes an image of documents that keep their bytes, and so their digests: what a registry sent. All layers are in
    /// the store. `annotations` are kept in the index's entry. The image exists, durably, when this returns.
    ///
    /// Errors: `Malformed` if the documents disagree, `MissingBlob`.
    pub fn commit_documents(
        &self,
        manifest: (&str, &[u8]),
        config: &[u8],
        layers: &[Layer],
        names: &[Reference],
        annotations: &std::collections::BTreeMap<String, String>,
    ) -> Result<Image> {
        let (media_type, manifest) = manifest;
        let digest = Digest::of(manifest);
        let parsed = super::parse_manifest(manifest, &digest)?;
        if parsed.config.digest != Digest::of(config) {
            return Err(ImageError::malformed(
                format!("image manifest {digest}"),
                "the configuration that it names is another one",
            ));
        }
        self.put_blob(config, Some(&parsed.config.digest))?;
        let blob = self.put_blob(manifest, Some(&digest))?;
        let entry = Descriptor { annotations: annotations.clone(), ..descriptor(media_type, blob) };
        self.add_image(&entry, layers, names)
    }

    /// Removes blobs on their way that nobody has added to for `older_than`. Gives the bytes that became free.
    pub fn sweep_partials(&self, older_than: Duration) -> u64 {
        let mut freed = 0;
        for entry in fs::read_dir(self.partial_dir()).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(file) = File::open(&path) else { continue };
            let Ok(meta) = file.metadata() else { continue };
            let old = meta.modified().is_ok_and(|t| t.elapsed().unwrap_or_default() >= older_than);
            // Held while it is removed: who waits for it then sees that it is gone.
            if old && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && fs::remove_file(&path).is_ok() {
                freed += meta.len();
            }
        }
        freed
    }

    fn partial_dir(&self) -> PathBuf {
        self.root().join("partial")
    }
}

/// Whether `path` still leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    ours.dev() == there.dev() && ours.ino() == there.ino()
}
