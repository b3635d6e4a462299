//! Images in archives and layout directories, read where they lie: nothing is unpacked or put into the store.
//!
//! A tar is read once for its table of contents; layers are then read in parallel from their places in the file. A
//! layer whose digest is not the promised one is read, reported, and not kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use stockade_image::{Descriptor, ImageConfig, LayerReader, Manifest};
use stockade_inventory::{LayerSource, Unknown};

use crate::failure::Failure;

/// Largest document (manifest, configuration) that is read; real ones are below 1 MB.
const MAX_DOCUMENT_BYTES: u64 = 32 << 20;
/// Most entries of an archive: an image has a few for each layer.
const MAX_ENTRIES: usize = 100_000;
/// Manifests within indexes within indexes.
const MAX_NESTING: usize = 4;

/// An image in an archive or a directory.
pub struct ArchivedImage {
    files: Files,
    /// The configuration.
    pub config: ImageConfig,
    /// `sha256:…` of the configuration, by its own name in the archive.
    pub id: Option<String>,
    /// Names of the layers' files, lowest first.
    layers: Vec<String>,
    /// What must be said about the choice of the image.
    pub unknown: Vec<Unknown>,
}

/// Files by name.
enum Files {
    Directory(PathBuf),
    Tar { file: Arc<File>, entries: BTreeMap<String, Place> },
}

#[derive(Debug, Clone)]
enum Place {
    Bytes { offset: u64, length: u64 },
    Link(String),
}

/// A part of a file, read without moving a shared position.
struct Slice {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerEntry {
    /// Name of the configuration's file.
    pub config: String,
    /// Names of the layers' files, lowest first.
    pub layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

impl ArchivedImage {
    /// Opens a docker archive (`docker save`), an OCI archive, or an OCI layout directory.
    pub fn open(path: &Path) -> Result<ArchivedImage, Failure> {
        let files = Files::open(path)?;
        let bad = |why: String| Failure::new(format!("`{}` is no image archive: {why}", path.display()));
        if files.has("manifest.json") {
            return docker(files).map_err(bad);
        }
        if files.has("index.json") {
            return oci(files).map_err(bad);
        }
        Err(bad("it has neither manifest.json (docker) nor index.json (OCI)".to_owned())
            .hint("a root file system in a tar is imported with `stockade import FILE NAME` first"))
    }

    /// The layers as the inventory reads them.
    pub fn sources(&self) -> Vec<LayerSource<'_>> {
        self.layers
            .iter()
            .zip(&self.config.rootfs.diff_ids)
            .map(|(name, diff_id)| LayerSource {
                diff_id: diff_id.to_string(),
                open: Box::new(move || {
                    let reader = LayerReader::new(self.files.open_file(name)?).map_err(io::Error::other)?;
                    Ok(Box::new(reader) as Box<dyn Read + Send>)
                }),
                dir: None,
            })
            .collect()
    }
}

fn docker(files: Files) -> Result<ArchivedImage, String> {
    let entries: Vec<DockerEntry> = files.document("manifest.json")?;
    let count = entries.len();
    let first = entries.into_iter().next().ok_or("manifest.json names no image")?;
    let config: ImageConfig = files.document(&first.config)?;
    let name = first.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    let id = (name.len() == 64).then(|| format!("sha256:{name}"));
    finish(files, config, id, first.layers.unwrap_or_default(), count)
}

fn oci(files: Files) -> Result<ArchivedImage, String> {
    let mut index: Index = files.document("index.json")?;
    let count = index.manifests.len();
    for _ in 0..MAX_NESTING {
        let chosen = choose(&index.manifests).ok_or("its index names no image")?;
        let value: Value = files.document(&blob(&chosen.digest.to_string()))?;
        if value.get("manifests").is_some() {
            index = serde_json::from_value(value).map_err(|e| format!("index {}: {e}", chosen.digest))?;
            continue;
        }
        let manifest: Manifest =
            serde_json::from_value(value).map_err(|e| format!("manifest {}: {e}", chosen.digest))?;
        let config: ImageConfig = files.document(&blob(&manifest.config.digest.to_string()))?;
        let layers = manifest.layers.iter().map(|l| blob(&l.digest.to_string())).collect();
        return finish(files, config, Some(manifest.config.digest.to_string()), layers, count);
    }
    Err("its indexes are nested too deeply".to_owned())
}

fn finish(
    files: Files,
    config: ImageConfig,
    id: Option<String>,
    layers: Vec<String>,
    count: usize,
) -> Result<ArchivedImage, String> {
    if layers.len() != config.rootfs.diff_ids.len() {
        return Err(format!(
            "the manifest names {} layers, the configuration {}",
            layers.len(),
            config.rootfs.diff_ids.len()
        ));
    }
    let mut unknown = Vec::new();
    if count > 1 {
        unknown.push(Unknown::new(
            "archive",
            "",
            format!("the archive holds {count} images: only the first one was scanned"),
        ));
    }
    Ok(ArchivedImage { files, config, id, layers, unknown })
}

/// The entry for this machine's architecture, else the first.
pub(super) fn choose(manifests: &[Descriptor]) -> Option<&Descriptor> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.architecture == arch && p.os == "linux");
    let image = |d: &&Descriptor| d.platform.as_ref().is_none_or(|p| p.os != "unknown");
    manifests.iter().find(fits).or_else(|| manifests.iter().find(image))
}

/// Where a layout has a blob.
pub(super) fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

impl Files {
    fn open(path: &Path) -> Result<Files, Failure> {
        let failed = |e: io::Error| Failure::new(format!("cannot read `{}`: {e}", path.display()));
        if path.is_dir() {
            return Ok(Files::Directory(path.to_owned()));
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0u8; 6];
        let read = file.read_at(&mut magic, 0).map_err(failed)?;
        let compressed = [&[0x1f, 0x8b][..], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X', b'Z']];
        if compressed.iter().any(|m| magic.get(..read).is_some_and(|head| head.starts_with(m))) {
            file = spool(&file).map_err(failed)?;
        }
        let entries = table_of_contents(&file).map_err(failed)?;
        Ok(Files::Tar { file: Arc::new(file), entries })
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Files::Directory(root) => root.join(name).is_file(),
            Files::Tar { entries, .. } => entries.contains_key(name),
        }
    }

    fn open_file(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("`{name}` is not in the archive"));
        match self {
            Files::Directory(root) => {
                // Names come from documents in the directory: they may not lead out of it.
                if !Path::new(name).components().all(|c| matches!(c, std::path::Component::Normal(_))) {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` leaves the directory")));
                }
                Ok(Box::new(File::open(root.join(name))?))
            }
            Files::Tar { file, entries } => {
                let mut place = entries.get(name).ok_or_else(missing)?;
                // Old docker archives link layers that several images share: "../ID/layer.tar".
                let mut from = name.to_owned();
                for _ in 0..8 {
                    match place {
                        Place::Bytes { offset, length } => {
                            return Ok(Box::new(Slice { file: file.clone(), offset: *offset, left: *length }));
                        }
                        Place::Link(target) => {
                            from = join(&from, target);
                            place = entries.get(&from).ok_or_else(missing)?;
                        }
                    }
                }
                Err(missing())
            }
        }
    }

    fn document<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let reader = self.open_file(name).map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        reader.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map_err(|e| format!("`{name}`: {e}"))?;
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(format!("`{name}` is larger than 32 MiB"));
        }
        serde_json::from_slice(&bytes).map_err(|e| format!("`{name}`: {e}"))
    }
}

/// A link's target seen from the entry that holds it.
pub(super) fn join(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Decompresses into a file without a name.
fn spool(file: &File) -> io::Result<File> {
    let directory = std::env::temp_dir();
    let path = directory.join(stockade_durable::temporary_name());
    let mut out = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    let mut reader = LayerReader::new(file.try_clone()?).map_err(io::Error::other)?;
    io::copy(&mut reader, &mut out)?;
    Ok(out)
}

fn table_of_contents(file: &File) -> io::Result<BTreeMap<String, Place>> {
    let mut reader = file.try_clone()?;
    io::Seek::rewind(&mut reader)?;
    let mut archive = tar::Archive::new(reader);
    let mut out = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let kind = entry.header().entry_type();
        if kind.is_file() {
            out.insert(name, Place::Bytes { offset: entry.raw_file_position(), length: entry.size() });
        } else if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().map(|t| String::from_utf8_lossy(&t).into_owned()).unwrap_or_default();
            // A hard link names its target from the archive's root.
            let target = if kind.is_hard_link() {
                format!("{}{target}", "../".repeat(name.matches('/').count()))
            } else {
                target
            };
            out.insert(name, Place::Link(target));
        }
        if out.len() > MAX_ENTRIES {
            return Err(io::Error::other(format!("more than {MAX_ENTRIES} entries: this is no image archive")));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_where_they_stand() {
        assert_eq!(join("a/layer.tar", "../b/layer.tar"), "b/layer.tar");
        assert_eq!(join("a/b/c", "../../d"), "d");
        assert_eq!(join("a", "../../../d"), "d");
    }
}
