//! Checks the whole store, for `stockade system check`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;

use super::Store;
use super::collect::digests_in;
use super::images::Image;
use super::index::{self, Index};
use crate::config::Descriptor;
use crate::digest::Digest;
use crate::error::Result;
use crate::layer::HashingWriter;

/// Something wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The thing: a name, a blob, a layer.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// The next step.
    pub advice: String,
}

impl Store {
    /// Hashes every blob, reads every document, and compares every unpacked layer's facts with its directory. Takes
    /// as long as reading the store from disk. Content that nothing refers to is no damage.
    ///
    /// Errors: only if the store cannot be read at all. What is wrong is returned.
    pub fn verify(&self) -> Result<Vec<Damage>> {
        let mut damages = Vec::new();
        let index = match self.read_index() {
            Ok(index) => index,
            Err(e) => {
                damages.push(Damage {
                    what: "image index".into(),
                    why: e.to_string(),
                    advice: "restore index.json from a backup, or move it away and load the images again".into(),
                });
                return Ok(damages);
            }
        };
        let blobs = self.verify_blobs(&mut damages)?;
        for entry in index.distinct() {
            self.verify_image(&index, entry, &blobs, &mut damages);
        }
        self.verify_layers(&mut damages)?;
        Ok(damages)
    }

    /// Sizes of all blobs that are as they should be.
    fn verify_blobs(&self, damages: &mut Vec<Damage>) -> Result<HashMap<Digest, u64>> {
        let mut good = HashMap::new();
        for digest in digests_in(&self.layout_dir().join("blobs/sha256"))? {
            let path = self.blob_path(&digest);
            let hashed = File::open(&path).and_then(|mut file| {
                let mut writer = HashingWriter::new(io::sink());
                io::copy(&mut file, &mut writer).map(|_| writer.finish())
            });
            let why = match hashed {
                Ok((_, actual, size)) if actual == digest => {
                    good.insert(digest, size);
                    continue;
                }
                Ok((_, actual, _)) => format!("its content has the digest {actual}"),
                // Another process may have removed it since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => format!("it cannot be read: {e}"),
            };
            let advice = format!("remove `{}`, then pull, load or build its image again", path.display());
            damages.push(Damage { what: format!("blob {digest}"), why, advice });
        }
        Ok(good)
    }

    fn verify_image(&self, index: &Index, entry: &Descriptor, blobs: &HashMap<Digest, u64>, damages: &mut Vec<Damage>) {
        let image = match self.load_image(index, entry) {
            Ok(image) => image,
            // Removed since the index was read.
            Err(_) if !self.is_listed(&entry.digest) => return,
            Err(e) => return damages.push(image_damage(&shown_entry(index, entry), e.to_string())),
        };
        let name = shown_image(&image);
        let layers = match self.layers(&image) {
            Ok(layers) => layers,
            Err(e) => return damages.push(image_damage(&name, e.to_string())),
        };
        for layer in layers {
            let wanted = layer.descriptor.size;
            let why = match blobs.get(&layer.descriptor.digest) {
                Some(size) if *size == wanted => continue,
                Some(size) => format!("its layer {} has {size} bytes, not {wanted}", layer.descriptor.digest),
                None if !self.is_listed(&entry.digest) => return,
                // It may have come after the blobs were listed.
                None if self.blob_size(&layer.descriptor.digest) == Some(wanted) => continue,
                None => format!("its layer {} is missing or damaged", layer.descriptor.digest),
            };
            damages.push(image_damage(&name, why));
        }
    }

    fn is_listed(&self, manifest: &Digest) -> bool {
        self.read_index().is_ok_and(|index| index.manifests.iter().any(|m| m.digest == *manifest))
    }

    fn verify_layers(&self, damages: &mut Vec<Damage>) -> Result<()> {
        for diff_id in digests_in(&self.root().join("layers"))? {
            let path = self.layer_path(&diff_id);
            let why = match self.meta(&diff_id) {
                Ok(Some(meta)) if meta.diff_id != diff_id => "its facts belong to another layer".to_owned(),
                Ok(Some(_)) if path.join("fs").is_dir() => continue,
                Ok(Some(_)) => "its directory is missing".to_owned(),
                Ok(None) if !path.exists() => continue,
                Ok(None) => "its facts (meta.json) are missing".to_owned(),
                Err(e) => e.to_string(),
            };
            let advice = format!("remove `{}`; it is unpacked again when it is needed", path.display());
            damages.push(Damage { what: format!("unpacked layer {diff_id}"), why, advice });
        }
        for entry in fs::read_dir(self.root().join("layers")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if format!("sha256:{name}").parse::<Digest>().is_err() {
                damages.push(Damage {
                    what: format!("`{}`", entry.path().display()),
                    why: "it is not named as a layer".into(),
                    advice: "remove it if you did not put it there".into(),
                });
            }
        }
        Ok(())
    }
}

fn image_damage(name: &str, why: String) -> Damage {
    let advice = format!("remove it with `stockade rmi {name}`, then pull, load or build it again");
    Damage { what: format!("image {name}"), why, advice }
}

fn shown_image(image: &Image) -> String {
    image.names.first().cloned().unwrap_or_else(|| image.id.short())
}

fn shown_entry(index: &Index, entry: &Descriptor) -> String {
    let id = index::id_of(entry).unwrap_or(entry.digest);
    index.names(&entry.digest).first().map_or_else(|| id.short(), ToString::to_string)
}
