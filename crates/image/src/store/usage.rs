//! How much disk images take, layers that several of them have counted once.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::Store;
use super::images::Image;
use crate::digest::Digest;
use crate::error::Result;

/// What one image takes.
#[derive(Debug, Clone)]
pub struct ImageUsage {
    /// The image.
    pub image: Image,
    /// Bytes of layers that other images have too: files and blobs.
    pub shared: u64,
    /// Bytes of layers that only this image has.
    pub unique: u64,
    /// How many holders (containers) keep it.
    pub holders: u64,
}

/// What all images take.
#[derive(Debug, Clone, Default)]
pub struct StoreUsage {
    /// By image, newest first.
    pub images: Vec<ImageUsage>,
    /// Bytes of all images.
    pub bytes: u64,
    /// Bytes that only images without holders need.
    pub reclaimable: u64,
}

/// A layer and the images that have it: a node of [`Store::tree`].
#[derive(Debug, Clone, Serialize)]
pub struct TreeNode {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of the layer's files.
    pub bytes: u64,
    /// The instruction that made it, as the first image's history tells.
    pub created_by: String,
    /// Images whose topmost layer this is: names, or the short id of one without.
    pub images: Vec<String>,
    /// Layers that stand on this one.
    pub children: Vec<TreeNode>,
}

impl Store {
    /// What images take on disk. An image whose layers cannot be told (it is damaged) counts nothing.
    pub fn usage(&self) -> Result<StoreUsage> {
        let images = self.list()?;
        let leases = self.leases()?;
        let mut users: HashMap<Digest, u64> = HashMap::new();
        for image in &images {
            let own: HashSet<Digest> = image.config.rootfs.diff_ids.iter().copied().collect();
            own.into_iter().for_each(|layer| *users.entry(layer).or_default() += 1);
        }
        let mut usage = StoreUsage::default();
        let (mut counted, mut held) = (HashSet::new(), HashSet::new());
        for image in images {
            let holders = leases.iter().filter(|lease| lease.image == image.id).count() as u64;
            let (mut shared, mut unique) = (0, 0);
            let mut own = HashSet::new();
            for layer in self.layers(&image).unwrap_or_default() {
                if !own.insert(layer.diff_id) {
                    continue;
                }
                let files = self.meta(&layer.diff_id).ok().flatten().map_or(0, |meta| meta.bytes);
                let bytes = files + self.stored_blob_size(&layer.descriptor.digest).unwrap_or(0);
                match users.get(&layer.diff_id) {
                    Some(0 | 1) | None => unique += bytes,
                    Some(_) => shared += bytes,
                }
                if counted.insert(layer.diff_id) {
                    usage.bytes += bytes;
                }
                if holders > 0 && held.insert(layer.diff_id) {
                    usage.reclaimable += bytes;
                }
            }
            usage.images.push(ImageUsage { image, shared, unique, holders });
        }
        // What held images need was summed up there.
        usage.reclaimable = usage.bytes - usage.reclaimable;
        Ok(usage)
    }

    /// All images as trees of layers: where two images begin with the same layers, they share a trunk.
    pub fn tree(&self) -> Result<Vec<TreeNode>> {
        let mut roots = Vec::new();
        let mut images = self.list()?;
        images.sort_by(|a, b| a.names.cmp(&b.names).then(a.id.cmp(&b.id)));
        for image in &images {
            let layers = self.layers(image).unwrap_or_default();
            let made_by = image.config.history.iter().filter(|h| !h.empty_layer).map(|h| h.created_by.clone());
            let mut made_by = made_by.collect::<Vec<_>>().into_iter();
            let mut level: &mut Vec<TreeNode> = &mut roots;
            let count = layers.len();
            for (number, layer) in layers.into_iter().enumerate() {
                let created_by = made_by.next().flatten().unwrap_or_default();
                let known = level.iter().position(|node| node.diff_id == layer.diff_id);
                let at = known.unwrap_or_else(|| {
                    let bytes = super::layers::unpacked_bytes(self, &layer);
                    let (images, children) = (Vec::new(), Vec::new());
                    level.push(TreeNode { diff_id: layer.diff_id, bytes, created_by, images, children });
                    level.len() - 1
                });
                let Some(node) = level.get_mut(at) else { break };
                if number + 1 == count {
                    let names = if image.names.is_empty() { vec![image.id.short()] } else { image.names.clone() };
                    node.images.extend(names);
                }
                level = &mut node.children;
            }
        }
        Ok(roots)
    }
}
