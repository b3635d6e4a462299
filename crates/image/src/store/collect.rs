//! Removing images, and the content that nothing refers to any more.

use std::collections::HashSet;
use std::fs;

use super::images::{Image, MAX_INDEX_DEPTH, is_index};
use super::index::{self, Index};
use super::locks::Exclusive;
use super::{Store, session};
use crate::config::Descriptor;
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::remove_tree;
use crate::reference::Reference;

/// What [`Store::remove`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names that are gone, familiar form.
    pub untagged: Vec<String>,
    /// Images (ids) and layers (diff ids) that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes on disk that became free.
    pub bytes: u64,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names that are gone, familiar form.
    pub untagged: Vec<String>,
    /// Images (ids) and layers (diff ids) that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes on disk that became free.
    pub bytes: u64,
}

/// What a sweep may remove.
enum Candidates<'c> {
    Everything,
    Only(&'c HashSet<Digest>),
}

impl Store {
    /// Removes an image as `docker rmi` does. By name: the name goes, and the image with its last name. By id: an
    /// image with names in several repositories needs `force`. An image that a container uses needs `force` too, and
    /// then loses its names only: its content stays until the container is gone and the store is pruned.
    ///
    /// Errors: `NotFound`, `InUse`, `Conflict`, `Ambiguous`, `InvalidReference`.
    pub fn remove(&self, text: &str, force: bool) -> Result<Removed> {
        let gc = Exclusive::take(self.root())?;
        let index = self.read_index()?;
        let entry =
            self.find_entry(&index, text)?.ok_or_else(|| ImageError::NotFound { name: text.to_owned() })?.clone();
        let names = index.names(&entry.digest);
        let by_name = Reference::parse(text).ok().map(Reference::or_latest).filter(|n| names.contains(n));
        let untagged = match &by_name {
            Some(name) => vec![name.clone()],
            None => names.clone(),
        };
        let several = untagged.windows(2).any(|pair| matches!(pair, [a, b] if !a.same_repository(b)));
        if several && !force {
            return Err(ImageError::Conflict {
                image: text.to_owned(),
                reason: "it has names in several repositories; remove them one by one, or all by force".into(),
            });
        }
        let last = untagged.len() == names.len();
        let holders = self.entry_id(&entry).map_or(Ok(Vec::new()), |id| self.holders(&id))?;
        if last && !holders.is_empty() && !force {
            return Err(ImageError::InUse { image: text.to_owned(), holders });
        }
        let delete = last && holders.is_empty();
        let content = self.content_of(&entry);
        let id = self.entry_id(&entry);
        self.with_reserve(|| {
            self.session()?;
            self.change_index(|index| {
                untagged.iter().for_each(|name| drop(index.remove_name(name)));
                if delete {
                    index.remove_manifest(&entry.digest);
                }
                Ok(())
            })
        })?;
        let mut removed =
            Removed { untagged: untagged.iter().map(Reference::to_string).collect(), ..Removed::default() };
        if delete {
            removed.deleted.extend(id);
            self.sweep_content(&gc, &Candidates::Only(&content), &mut removed.deleted, &mut removed.bytes)?;
        }
        Ok(removed)
    }

    /// Removes images without a name (`all`: every image) that no container uses, and then all content that neither
    /// an image, nor a lease, nor the build cache, nor a running stockade process refers to.
    pub fn prune(&self, all: bool) -> Result<Pruned> {
        self.prune_where(|image| all || image.names.is_empty())
    }

    /// As [`Store::prune`], for the images that `unwanted` chooses.
    pub fn prune_where(&self, mut unwanted: impl FnMut(&Image) -> bool) -> Result<Pruned> {
        let gc = Exclusive::take(self.root())?;
        let leased = self.leased()?;
        let mut pruned = Pruned::default();
        let index = self.read_index()?;
        let mut chosen = Vec::new();
        for entry in index.distinct() {
            let Ok(image) = self.load_image(&index, entry) else { continue };
            if leased.contains(&image.id) || !unwanted(&image) {
                continue;
            }
            chosen.push((entry.digest, image));
        }
        let gone = self.with_reserve(|| {
            self.session()?;
            let mut gone = Vec::new();
            self.change_index(|index| {
                // An image that was given a name in the meantime stays.
                gone = chosen.iter().filter(|(digest, image)| index.names(digest).len() == image.names.len()).collect();
                gone.iter().for_each(|(digest, _)| index.remove_manifest(digest));
                Ok(())
            })?;
            Ok(gone)
        })?;
        for (_, image) in gone {
            pruned.deleted.push(image.id);
            pruned.untagged.extend(image.names.iter().cloned());
        }
        self.sweep_content(&gc, &Candidates::Everything, &mut pruned.deleted, &mut pruned.bytes)?;
        // What was received in part and nobody is receiving now.
        pruned.bytes += self.sweep_partials(std::time::Duration::ZERO);
        Ok(pruned)
    }

    /// Removes content that nothing refers to. For use after the build cache let go of some.
    pub(super) fn collect(&self, pruned: &mut Pruned) -> Result<()> {
        let gc = Exclusive::take(self.root())?;
        self.sweep_content(&gc, &Candidates::Everything, &mut pruned.deleted, &mut pruned.bytes)
    }

    /// Removes candidates that are not alive: directories first, so that a layer without its blob never remains.
    fn sweep_content(
        &self,
        gc: &Exclusive,
        candidates: &Candidates<'_>,
        deleted: &mut Vec<Digest>,
        bytes: &mut u64,
    ) -> Result<()> {
        let live = self.live_content(gc)?;
        let doomed = |digest: &Digest| {
            !live.contains(digest)
                && match candidates {
                    Candidates::Everything => true,
                    Candidates::Only(some) => some.contains(digest),
                }
        };
        self.sweep_referrers(gc, &live);
        for diff_id in digests_in(&self.root().join("layers"))?.iter().filter(|d| doomed(d)) {
            *bytes += self.meta(diff_id).ok().flatten().map_or(0, |meta| meta.bytes);
            self.remove_layer_dir(diff_id)?;
            deleted.push(*diff_id);
        }
        for digest in digests_in(&self.layout_dir().join("blobs/sha256"))?.iter().filter(|d| doomed(d)) {
            let path = self.blob_path(digest);
            *bytes += self.stored_blob_size(digest).unwrap_or(0);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(ImageError::io("remove", &path, e)),
                _ => {}
            }
        }
        self.keep_reserve();
        Ok(())
    }

    /// Moves the directory away first: at its place a layer is whole or not there.
    fn remove_layer_dir(&self, diff_id: &Digest) -> Result<()> {
        let (place, away) = (self.layer_path(diff_id), self.session()?.fresh_path());
        fs::rename(&place, &away).map_err(ImageError::on("remove", &place))?;
        remove_tree(&away)
    }

    /// Everything that must stay: what images, leases, the build cache and running processes refer to.
    fn live_content(&self, _gc: &Exclusive) -> Result<HashSet<Digest>> {
        let mut live = session::pins(self.root())?;
        live.extend(self.leased()?);
        live.extend(self.cache_pins()?);
        for entry in self.read_index()?.distinct() {
            live.extend(self.content_of(entry));
        }
        // A layer keeps the blob that it came from.
        for diff_id in digests_in(&self.root().join("layers"))? {
            if live.contains(&diff_id)
                && let Ok(Some(meta)) = self.meta(&diff_id)
            {
                live.insert(meta.blob.digest);
            }
        }
        Ok(live)
    }

    /// Manifest, configuration, blobs and diff ids of an entry; as much as can be read of a damaged one.
    pub(super) fn content_of(&self, entry: &Descriptor) -> HashSet<Digest> {
        let mut found = HashSet::new();
        self.add_content(entry, 0, &mut found);
        self.add_referrers(&mut found);
        found
    }

    fn add_content(&self, entry: &Descriptor, depth: u32, found: &mut HashSet<Digest>) {
        found.insert(entry.digest);
        found.extend(index::id_of(entry));
        let Ok(bytes) = self.read_blob(&entry.digest) else { return };
        if is_index(&entry.media_type) {
            let inner = Index::parse(&bytes, "image index").unwrap_or_default();
            if depth < MAX_INDEX_DEPTH {
                inner.manifests.iter().for_each(|m| self.add_content(m, depth + 1, found));
            }
            return;
        }
        let Ok(manifest) = super::images::parse_manifest(&bytes, &entry.digest) else { return };
        found.insert(manifest.config.digest);
        found.extend(manifest.layers.iter().map(|l| l.digest));
        if let Ok(config) = self.read_config(&manifest.config.digest) {
            found.extend(config.rootfs.diff_ids);
        }
    }
}

/// Names in a directory that are digests.
pub(super) fn digests_in(dir: &std::path::Path) -> Result<Vec<Digest>> {
    let entries = fs::read_dir(dir).map_err(ImageError::on("read", dir))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut digests: Vec<Digest> = names.filter_map(|name| format!("sha256:{name}").parse().ok()).collect();
    digests.sort_unstable();
    Ok(digests)
}
