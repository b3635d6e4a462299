//! Checks the store, for `stockade system check`, and mends it.
//!
//! The quick check reads what every command trusts: the index, the documents, the facts of unpacked layers, leases. The
//! deep check also hashes every blob and compares each unpacked layer with what its blob unpacks to.

mod blobs;
mod layers;
mod repair;
mod rest;

use std::collections::HashMap;

use serde::Serialize;

use super::Store;
use super::images::Image;
use super::index::{self, Index};
use crate::config::Descriptor;
use crate::digest::Digest;
use crate::error::Result;

/// How closely [`Store::check`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Documents by digest, everything else by presence and size.
    Quick,
    /// Every byte. Takes as long as reading the store, and room on disk for its largest layer.
    Deep,
}

/// What [`Store::repair`] would do about a damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Repair {
    /// Make the index anew of the manifests in the store; names are lost.
    RebuildIndex,
    /// Remove a blob whose content is not what its name says.
    RemoveBlob {
        /// Its digest.
        blob: Digest,
    },
    /// Remove an image that is not whole.
    RemoveImage {
        /// Digest of its manifest.
        manifest: Digest,
    },
    /// Unpack a layer again from its blob, or remove it where the blob is damaged too.
    UnpackAgain {
        /// Its diff id.
        layer: Digest,
    },
    /// Remove a file or directory that nobody can use.
    RemovePath {
        /// Where.
        path: std::path::PathBuf,
    },
    /// Nothing that a program should do.
    Nothing,
}

/// Something wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The thing: a name, a blob, a layer.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// The next step for a person.
    pub advice: String,
    /// The next step for [`Store::repair`].
    pub repair: Repair,
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Images in the index.
    pub images: u64,
    /// Blobs, whoever needs them.
    pub blobs: u64,
    /// Unpacked layers.
    pub layers: u64,
    /// What is wrong.
    pub damages: Vec<Damage>,
}

impl Store {
    /// Looks at all of the store. Content that nothing refers to is no damage, nor is what another process changes at
    /// the same time.
    ///
    /// Errors: only if the store cannot be read at all. What is wrong is returned.
    pub fn check(&self, depth: Depth) -> Result<Checked> {
        let mut checked = Checked::default();
        let index = match self.read_index() {
            Ok(index) => index,
            Err(e) => {
                checked.damages.push(Damage {
                    what: "image index".into(),
                    why: e.to_string(),
                    advice: "restore index.json from a backup, or let --fix make it anew (names are lost)".into(),
                    repair: Repair::RebuildIndex,
                });
                return Ok(checked);
            }
        };
        let blobs = self.check_blobs(depth, &mut checked)?;
        for entry in index.distinct() {
            checked.images += 1;
            self.check_image(&index, entry, &blobs, &mut checked.damages);
        }
        self.check_layers(depth, &mut checked)?;
        self.check_rest(&mut checked.damages)?;
        Ok(checked)
    }

    /// The deep check's damages.
    ///
    /// Errors: those of [`Store::check`].
    pub fn verify(&self) -> Result<Vec<Damage>> {
        self.check(Depth::Deep).map(|checked| checked.damages)
    }

    fn check_image(&self, index: &Index, entry: &Descriptor, blobs: &HashMap<Digest, u64>, damages: &mut Vec<Damage>) {
        let repair = Repair::RemoveImage { manifest: entry.digest };
        let mut tell = |name: &str, why: String| {
            let advice = format!("remove it with `stockade rmi {name}`, then pull, load or build it again");
            damages.push(Damage { what: format!("image {name}"), why, advice, repair: repair.clone() });
        };
        let image = match self.load_image(index, entry) {
            Ok(image) => image,
            // Removed since the index was read.
            Err(_) if !self.is_listed(&entry.digest) => return,
            Err(e) => return tell(&shown_entry(index, entry), e.to_string()),
        };
        let name = shown_image(&image);
        let layers = match self.layers(&image) {
            Ok(layers) => layers,
            Err(e) => return tell(&name, e.to_string()),
        };
        for layer in layers {
            let wanted = layer.descriptor.size;
            let why = match blobs.get(&layer.descriptor.digest) {
                Some(size) if *size == wanted => continue,
                Some(size) => format!("its layer {} has {size} bytes, not {wanted}", layer.descriptor.digest),
                None if !self.is_listed(&entry.digest) => return,
                // It may have come after the blobs were listed.
                None if self.is_good_blob(&layer.descriptor) => continue,
                None => format!("its layer {} is missing or damaged", layer.descriptor.digest),
            };
            tell(&name, why);
        }
    }

    fn is_listed(&self, manifest: &Digest) -> bool {
        self.read_index().is_ok_and(|index| index.manifests.iter().any(|m| m.digest == *manifest))
    }
}

fn shown_image(image: &Image) -> String {
    image.names.first().cloned().unwrap_or_else(|| image.id.short())
}

fn shown_entry(index: &Index, entry: &Descriptor) -> String {
    let id = index::id_of(entry).unwrap_or(entry.digest);
    index.names(&entry.digest).first().map_or_else(|| id.short(), ToString::to_string)
}
