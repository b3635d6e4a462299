//! Mends what a check found.

use std::fs;
use std::path::Path;

use super::{Damage, Repair};
use crate::config::{Descriptor, media};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::remove_tree;
use crate::store::collect::digests_in;
use crate::store::index::{self, Index};
use crate::store::layers::META_SCHEMA;
use crate::store::locks::Exclusive;
use crate::store::{BlobInfo, MAX_DOCUMENT_BYTES, Store, descriptor, parse_manifest, to_json};

impl Store {
    /// Mends one damage; the answer says what was done, `None` that a person must decide. `busy` tells whether a layer
    /// (diff id) is mounted right now: such a one is left alone.
    ///
    /// Errors: the repair failed, or the layer is busy (`Conflict`).
    pub fn repair(&self, damage: &Damage, busy: &dyn Fn(&Digest) -> bool) -> Result<Option<String>> {
        Ok(match &damage.repair {
            Repair::Nothing => None,
            Repair::RebuildIndex => {
                let images = self.rebuild_index()?;
                Some(format!("made the index anew: {images} images, without names"))
            }
            Repair::RemoveBlob { blob } => {
                let path = self.blob_path(blob);
                remove_file(&path)?;
                Some(format!("removed blob {blob}"))
            }
            Repair::RemoveImage { manifest } => {
                let mut names = Vec::new();
                self.change_index(|index| {
                    names = index.names(manifest).iter().map(ToString::to_string).collect();
                    index.remove_manifest(manifest);
                    Ok(())
                })?;
                let names = if names.is_empty() { "without a name".to_owned() } else { names.join(", ") };
                Some(format!("removed image {} ({names})", manifest.short()))
            }
            Repair::UnpackAgain { layer } => Some(self.unpack_or_remove(layer, busy)?),
            Repair::RemovePath { path } => {
                if path.is_dir() {
                    remove_tree(path)?
                } else {
                    remove_file(path)?
                }
                Some(format!("removed `{}`", path.display()))
            }
        })
    }

    fn unpack_or_remove(&self, diff_id: &Digest, busy: &dyn Fn(&Digest) -> bool) -> Result<String> {
        if busy(diff_id) {
            return Err(ImageError::Conflict {
                image: format!("layer {}", diff_id.short()),
                reason: "a running container stands on it; stop it first".into(),
            });
        }
        let fresh = self.meta(diff_id).ok().flatten().filter(|meta| meta.diff_id == *diff_id).map(|meta| {
            let unpacked = self.unpack_aside(&meta);
            (meta, unpacked)
        });
        let _gc = Exclusive::take(self.root())?;
        let (place, away) = (self.layer_path(diff_id), self.session()?.fresh_path());
        fs::rename(&place, &away).map_err(ImageError::on("move", &place))?;
        let mut done = format!("removed unpacked layer {diff_id}");
        if let Some((mut meta, Ok(Some((staging, found))))) = fresh {
            (meta.bytes, meta.entries) = (found.report.bytes, found.report.entries);
            (meta.tar_bytes, meta.root_opaque) = (found.tar_bytes, found.report.root_opaque);
            (meta.notes, meta.schema) = (found.report.notes, META_SCHEMA.to_owned());
            let path = staging.path().join("meta.json");
            stockade_durable::write(&path, &to_json(&meta, "layer facts")?, 0o600)?;
            let file = fs::File::open(&path).map_err(ImageError::on("open", &path))?;
            rustix::fs::syncfs(&file).map_err(ImageError::on("sync", &path))?;
            fs::rename(staging.path(), &place).map_err(ImageError::on("create", &place))?;
            done = format!("unpacked layer {diff_id} again");
        }
        stockade_durable::sync_dir(&self.root().join("layers"))?;
        remove_tree(&away)?;
        Ok(done)
    }

    /// Makes an index of every image manifest whose parts are all here. The old one stays beside it.
    fn rebuild_index(&self) -> Result<usize> {
        let _gc = Exclusive::take(self.root())?;
        let layout = self.layout_dir();
        let mut fresh = Index::default();
        for digest in digests_in(&layout.join("blobs/sha256"))? {
            if let Some(entry) = self.as_image(&digest) {
                fresh.manifests.push(entry);
            }
        }
        let (old, kept) = (layout.join("index.json"), layout.join("index.json.damaged"));
        match fs::rename(&old, &kept) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(ImageError::io("move", &old, e)),
            _ => {}
        }
        let images = fresh.manifests.len();
        self.change_index(|index| {
            *index = fresh;
            Ok(())
        })?;
        Ok(images)
    }

    /// An index entry, if the blob is the manifest of a whole image.
    fn as_image(&self, digest: &Digest) -> Option<Descriptor> {
        // Documents are small and begin with a brace: layers are not read.
        let size = self.blob_size(digest).filter(|size| *size <= MAX_DOCUMENT_BYTES)?;
        if !begins_with_brace(&self.blob_path(digest)) {
            return None;
        }
        let bytes = self.read_blob(digest).ok()?;
        let manifest = parse_manifest(&bytes, digest).ok()?;
        let config = self.read_config(&manifest.config.digest).ok()?;
        let whole = manifest.layers.len() == config.rootfs.diff_ids.len()
            && manifest.layers.iter().all(|layer| self.blob_size(&layer.digest) == Some(layer.size));
        let media_type = manifest.media_type.as_deref().unwrap_or(media::MANIFEST);
        let unpacked = config.rootfs.diff_ids.iter().zip(&manifest.layers);
        let bytes = unpacked.map(|(id, blob)| self.meta(id).ok().flatten().map_or(blob.size, |m| m.bytes)).sum();
        let blob = descriptor(media_type, BlobInfo { digest: *digest, size });
        whole.then(|| index::entry(blob, &manifest.config.digest, bytes))
    }
}

fn begins_with_brace(path: &Path) -> bool {
    use std::io::Read;
    let mut first = [0u8; 1];
    fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok() && first == *b"{")
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ImageError::io("remove", path, e)),
        _ => Ok(()),
    }
}
