//! Leases: an image that a container uses stays, with all its content, while a file under `leases/` says so.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Store;
use super::images::Image;
use super::locks::Shared;
use crate::digest::Digest;
use crate::error::{ImageError, Result};

/// A lease on an image: it, its layers and its blobs stay while the lease file exists. Dropping the value changes
/// nothing: a container outlives the process that created it. [`Store::release`] ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it (a container id).
    pub holder: String,
    /// Id of the image.
    pub image: Digest,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LeaseFile {
    pub image: Digest,
    pub manifest: Digest,
    /// Diff ids of the image's layers, then their blobs in the same order.
    pub content: Vec<Digest>,
}

impl Store {
    /// Takes a lease on the image for `holder`, replacing the one it had.
    ///
    /// Errors: `NotFound` if the image has been removed in the meantime, `BadName`.
    pub fn use_image(&self, image: &Image, holder: &str) -> Result<Lease> {
        let path = self.lease_path(holder)?;
        let _gc = Shared::take(self.root())?;
        let index = self.read_index()?;
        if !index.manifests.iter().any(|m| self.entry_id(m) == Some(image.id)) {
            return Err(ImageError::NotFound { name: image.id.to_string() });
        }
        let blobs = image.manifest.layers.iter().map(|l| l.digest);
        let content = image.config.rootfs.diff_ids.iter().copied().chain(blobs).collect();
        let file = LeaseFile { image: image.id, manifest: image.manifest_digest, content };
        let bytes = serde_json::to_vec(&file).map_err(|e| ImageError::malformed("lease", e))?;
        // Not synced: a power cut that takes the last second's lease takes the container's state with it.
        stockade_durable::write_volatile(&path, &bytes, 0o600)?;
        self.leased_here().insert(image.manifest_digest);
        Ok(Lease { holder: holder.to_owned(), image: image.id })
    }

    /// Ends the holder's lease. Having none is no error.
    pub fn release(&self, holder: &str) -> Result<()> {
        let path = self.lease_path(holder)?;
        self.leased_here().clear();
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ImageError::io("remove", &path, e)),
            _ => Ok(()),
        }
    }

    /// Who holds leases on the image with this id, sorted.
    pub fn holders(&self, id: &Digest) -> Result<Vec<String>> {
        let leases = self.leases()?.into_iter();
        Ok(leases.filter(|l| l.image == *id).map(|l| l.holder).collect())
    }

    /// All leases, sorted by holder.
    pub fn leases(&self) -> Result<Vec<Lease>> {
        Ok(self.lease_files()?.into_iter().map(|(holder, file)| Lease { holder, image: file.image }).collect())
    }

    /// Everything that leases keep.
    pub(super) fn leased(&self) -> Result<HashSet<Digest>> {
        let mut found = HashSet::new();
        for (_, file) in self.lease_files()? {
            found.extend(file.content);
            found.extend([file.image, file.manifest]);
        }
        Ok(found)
    }

    /// A lease that cannot be read (cut by a crash) keeps nothing.
    fn lease_files(&self) -> Result<Vec<(String, LeaseFile)>> {
        let entries = self.lease_entries()?.into_iter();
        Ok(entries.filter_map(|(holder, _, file)| file.map(|f| (holder, f))).collect())
    }

    /// Holder, place and content of every lease, sorted by holder; no content for one that cannot be read.
    pub(super) fn lease_entries(&self) -> Result<Vec<(String, PathBuf, Option<LeaseFile>)>> {
        let dir = self.root().join("leases");
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(ImageError::on("read", &dir))?.flatten() {
            let Ok(holder) = entry.file_name().into_string() else { continue };
            if holder.starts_with('.') {
                continue;
            }
            let parsed = match fs::read(entry.path()) {
                Ok(bytes) => serde_json::from_slice(&bytes).ok(),
                // Released meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(_) => None,
            };
            found.push((holder, entry.path(), parsed));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn lease_path(&self, holder: &str) -> Result<PathBuf> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if holder.is_empty() || holder.len() > 200 || holder.starts_with('.') || !holder.bytes().all(good) {
            let reason = "letters, digits, `-`, `_` and `.` are allowed, 1 to 200 of them, not beginning with `.`";
            return Err(ImageError::BadName { name: holder.chars().take(200).collect(), reason });
        }
        Ok(self.root().join("leases").join(holder))
    }
}
