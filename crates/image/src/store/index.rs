//! `index.json`: the one document that says which images exist and what they are called.
//!
//! It is an OCI image index; our own index (names, ids, sizes) lives in its annotations, so that names and content can
//! never disagree and any OCI tool sees the same images. Each name of an image is one entry; an image without a name
//! has one entry without a name.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::locks::IndexLock;
use crate::config::{Descriptor, media};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::reference::Reference;

/// The name that OCI tools select an image by (OCI image-spec, "Pre-Defined Annotation Keys").
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name, as containerd writes and docker reads it.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";
/// Digest of the configuration, so that looking up an id reads no manifest.
const ID: &str = "dev.stockade.image.id";
/// Bytes of the unpacked files of all layers.
const SIZE: &str = "dev.stockade.image.size";

/// The content of `index.json`. Entries and fields of other tools are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Default for Index {
    fn default() -> Index {
        Index {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
            other: serde_json::Map::new(),
        }
    }
}

/// An entry of ours for a manifest, without a name.
pub(super) fn entry(manifest: Descriptor, id: &Digest, size: u64) -> Descriptor {
    let mut entry = manifest;
    entry.annotations.insert(ID.to_owned(), id.to_string());
    entry.annotations.insert(SIZE.to_owned(), size.to_string());
    entry
}

/// The image id that the entry tells, if it is one of ours.
pub(super) fn id_of(entry: &Descriptor) -> Option<Digest> {
    entry.annotations.get(ID)?.parse().ok()
}

/// The unpacked size that the entry tells.
pub(super) fn size_of(entry: &Descriptor) -> Option<u64> {
    entry.annotations.get(SIZE)?.parse().ok()
}

/// The name that the entry gives its image.
pub(crate) fn name_of(entry: &Descriptor) -> Option<Reference> {
    let text = entry.annotations.get(IMAGE_NAME).or_else(|| entry.annotations.get(REF_NAME))?;
    Reference::parse(text).ok().map(Reference::or_latest)
}

fn unnamed(mut entry: Descriptor) -> Descriptor {
    entry.annotations.remove(REF_NAME);
    entry.annotations.remove(IMAGE_NAME);
    entry
}

impl Index {
    /// Reads the index of the layout at `dir`. No lock: the file is only ever replaced whole.
    pub fn read(dir: &Path) -> Result<Index> {
        let path = dir.join("index.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Index::default()),
            Err(e) => return Err(ImageError::io("read", &path, e)),
        };
        Index::parse(&bytes, &path.display().to_string())
    }

    /// Parses an index; `what` names it in errors.
    pub fn parse(bytes: &[u8], what: &str) -> Result<Index> {
        serde_json::from_slice(bytes).map_err(|e| ImageError::malformed(what, e))
    }

    /// Replaces the index of the layout at `dir`, durably.
    pub fn write(&self, dir: &Path, _lock: &IndexLock) -> Result<()> {
        let path = dir.join("index.json");
        let bytes = serde_json::to_vec(self).map_err(|e| ImageError::malformed("image index", e))?;
        Ok(stockade_durable::write(&path, &bytes, 0o644)?)
    }

    /// Makes sure that the image has an entry, and gives it `names`. A name that another image has moves.
    pub fn add(&mut self, entry: &Descriptor, names: &[Reference]) {
        for name in names {
            self.remove_name(name);
            let mut named = unnamed(entry.clone());
            let full = name.canonical();
            named.annotations.insert(REF_NAME.to_owned(), full.clone());
            named.annotations.insert(IMAGE_NAME.to_owned(), full);
            self.manifests.retain(|m| m.digest != entry.digest || name_of(m).is_some());
            self.manifests.push(named);
        }
        if !self.manifests.iter().any(|m| m.digest == entry.digest) {
            self.manifests.push(unnamed(entry.clone()));
        }
    }

    /// Takes a name away. The image keeps an entry without a name if it was its last. Gives the image's entry.
    pub fn remove_name(&mut self, name: &Reference) -> Option<Descriptor> {
        let name = name.clone().or_latest();
        let at = self.manifests.iter().position(|m| name_of(m).as_ref() == Some(&name))?;
        let entry = unnamed(self.manifests.remove(at));
        if !self.manifests.iter().any(|m| m.digest == entry.digest) {
            self.manifests.insert(at, entry.clone());
        }
        Some(entry)
    }

    /// Takes all entries of a manifest away.
    pub fn remove_manifest(&mut self, digest: &Digest) {
        self.manifests.retain(|m| m.digest != *digest);
    }

    /// Names of a manifest, sorted.
    pub fn names(&self, digest: &Digest) -> Vec<Reference> {
        let mut names: Vec<Reference> =
            self.manifests.iter().filter(|m| m.digest == *digest).filter_map(name_of).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// One entry for each manifest, in order of first appearance.
    pub fn distinct(&self) -> Vec<&Descriptor> {
        let mut seen = std::collections::HashSet::new();
        self.manifests.iter().filter(|m| seen.insert(m.digest)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(content: &str) -> Descriptor {
        let descriptor = Descriptor {
            media_type: media::MANIFEST.to_owned(),
            digest: Digest::of(content.as_bytes()),
            size: 1,
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        };
        entry(descriptor, &Digest::of(b"config"), 7)
    }

    fn name(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn names_move_and_leave_a_dangling_entry() {
        let (a, b) = (manifest("a"), manifest("b"));
        let mut index = Index::default();
        index.add(&a, &[]);
        assert_eq!(index.manifests.len(), 1);
        index.add(&a, &[name("x"), name("y:1")]);
        assert_eq!(index.manifests.len(), 2, "the entry without a name is gone");
        index.add(&b, &[name("x:latest")]);
        assert_eq!(index.names(&a.digest), [name("y:1")]);
        assert_eq!(index.names(&b.digest), [name("x:latest")]);
        index.remove_name(&name("y:1")).unwrap();
        assert_eq!(index.names(&a.digest), []);
        assert_eq!(index.distinct().len(), 2);
        assert!(index.remove_name(&name("y:1")).is_none());
        assert_eq!(id_of(&index.manifests[0]), Some(Digest::of(b"config")));
        assert_eq!(size_of(&index.manifests[0]), Some(7));
    }

    #[test]
    fn fields_of_other_tools_survive() {
        let text = r#"{"schemaVersion":2,"manifests":[],"x":{"y":1}}"#;
        let index = Index::parse(text.as_bytes(), "test").unwrap();
        let value = serde_json::to_value(&index).unwrap();
        assert_eq!(value["x"]["y"], 1);
    }
}
