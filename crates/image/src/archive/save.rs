//! Writes images to an archive.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Write};

use crate::archive::Format;
use crate::archive::docker::ManifestEntry;
use crate::config::{Descriptor, media};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::reference::Reference;
use crate::store::index::{IMAGE_NAME, Index, REF_NAME};
use crate::store::{BlobInfo, Image, Layer, Store, descriptor, to_json};
use crate::tar::{END_OF_ARCHIVE, EntryHead, Kind, padding, write_head};

impl Store {
    /// Writes images to one archive. `names` are names or ids as on the command line; a name without a tag means all
    /// tags of its repository, as with docker. The same images give the same bytes.
    ///
    /// Errors: `NotFound` for the first name that is not in the store, before anything is written.
    pub fn save(&self, names: &[String], format: Format, writer: impl Write) -> Result<()> {
        let mut chosen: Vec<(Image, Vec<Reference>)> = Vec::new();
        for name in names {
            for (image, references) in self.chosen_by(name)? {
                match chosen.iter_mut().find(|(known, _)| known.manifest_digest == image.manifest_digest) {
                    Some((_, known)) => known.extend(references),
                    None => chosen.push((image, references)),
                }
            }
        }
        let mut archive = Archive { store: self, writer, written: HashSet::new() };
        archive.directory("blobs")?;
        archive.directory("blobs/sha256")?;
        let mut index = Index::default();
        let mut docker = Vec::new();
        for (image, references) in &mut chosen {
            references.sort_unstable();
            references.dedup();
            let manifest = match format {
                Format::Oci => archive.stored_image(image)?,
                Format::Docker => {
                    docker.push(docker_entry(image, references));
                    archive.plain_image(image)?
                }
            };
            index.manifests.extend(named_entries(&manifest, references));
        }
        archive.document("index.json", &to_json(&index, "image index")?)?;
        if format == Format::Docker {
            archive.document("manifest.json", &to_json(&docker, "manifest.json")?)?;
        }
        archive.document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if format == Format::Docker {
            archive.document("repositories", &to_json(&repositories(&chosen), "repositories")?)?;
        }
        archive.writer.write_all(&END_OF_ARCHIVE).and_then(|()| archive.writer.flush()).map_err(failed)
    }

    /// The images that a command-line word means, each with the names to write.
    fn chosen_by(&self, text: &str) -> Result<Vec<(Image, Vec<Reference>)>> {
        let parsed = Reference::parse(text).ok();
        if let Some(reference) = parsed.as_ref().filter(|r| r.tag.is_none() && r.digest.is_none()) {
            let in_repository = |image: Image| {
                let names: Vec<Reference> = image.names.iter().filter_map(|n| n.parse().ok()).collect();
                let names: Vec<Reference> = names.into_iter().filter(|n| n.same_repository(reference)).collect();
                if names.is_empty() { None } else { Some((image, names)) }
            };
            let all: Vec<_> = self.list()?.into_iter().filter_map(in_repository).collect();
            if !all.is_empty() {
                return Ok(all);
            }
        }
        let image = self.resolve(text)?.ok_or_else(|| ImageError::NotFound { name: text.to_owned() })?;
        let by_name = parsed.map(Reference::or_latest).filter(|r| image.names.contains(&r.to_string()));
        Ok(vec![(image, by_name.into_iter().collect())])
    }
}

fn failed(error: io::Error) -> ImageError {
    ImageError::io("write", "image archive", error)
}

/// One entry of the index for each name, or one without a name.
fn named_entries(manifest: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let named = |name: &Reference| {
        let mut entry = manifest.clone();
        entry.annotations.insert(IMAGE_NAME.to_owned(), name.canonical());
        // What docker's own archives hold here, and other tools select by.
        if let Some(tag) = &name.tag {
            entry.annotations.insert(REF_NAME.to_owned(), tag.clone());
        }
        entry
    };
    if names.is_empty() { vec![manifest.clone()] } else { names.iter().map(named).collect() }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn docker_entry(image: &Image, names: &[Reference]) -> ManifestEntry {
    ManifestEntry {
        config: blob_name(&image.id),
        repo_tags: Some(names.iter().map(Reference::to_string).collect()),
        layers: Some(image.config.rootfs.diff_ids.iter().map(blob_name).collect()),
    }
}

/// The oldest form of names: repository, tag, topmost layer.
fn repositories(chosen: &[(Image, Vec<Reference>)]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (image, names) in chosen {
        let Some(top) = image.config.rootfs.diff_ids.last() else { continue };
        for name in names {
            if let Some(tag) = &name.tag {
                all.entry(name.name()).or_default().insert(tag.clone(), top.hex());
            }
        }
    }
    all
}

struct Archive<'s, W> {
    store: &'s Store,
    writer: W,
    /// Blobs that are in the archive already: images share layers.
    written: HashSet<Digest>,
}

impl<W: Write> Archive<'_, W> {
    /// Manifest, configuration and layers as the store has them.
    fn stored_image(&mut self, image: &Image) -> Result<Descriptor> {
        for layer in &image.manifest.layers {
            self.blob(&layer.digest)?;
        }
        self.blob(&image.id)?;
        self.blob(&image.manifest_digest)?;
        let size = self.store.blob_size(&image.manifest_digest).unwrap_or(0);
        let media_type = image.manifest.media_type.as_deref().unwrap_or(media::MANIFEST);
        let manifest = BlobInfo { digest: image.manifest_digest, size };
        Ok(crate::config::Descriptor { platform: Some(platform(image)), ..descriptor(media_type, manifest) })
    }

    /// The configuration as it is, the layers uncompressed, and a manifest for that.
    fn plain_image(&mut self, image: &Image) -> Result<Descriptor> {
        let mut manifest = image.manifest.clone();
        manifest.media_type = Some(media::MANIFEST.to_owned());
        manifest.config.media_type = media::CONFIG.to_owned();
        manifest.layers.clear();
        for layer in self.store.layers(image)? {
            let size = self.plain_layer(&layer)?;
            manifest.layers.push(descriptor(media::LAYER_TAR, BlobInfo { digest: layer.diff_id, size }));
        }
        self.blob(&image.id)?;
        let bytes = to_json(&manifest, "image manifest")?;
        let digest = Digest::of(&bytes);
        if self.written.insert(digest) {
            self.document(&blob_name(&digest), &bytes)?;
        }
        let manifest = BlobInfo { digest, size: bytes.len() as u64 };
        Ok(Descriptor { platform: Some(platform(image)), ..descriptor(media::MANIFEST, manifest) })
    }

    fn plain_layer(&mut self, layer: &Layer) -> Result<u64> {
        let size = self.store.tar_bytes(layer)?;
        if self.written.insert(layer.diff_id) {
            let blob = self.store.open_blob(&layer.descriptor.digest)?;
            let reader = crate::layer::LayerReader::new(blob)?;
            self.file(&blob_name(&layer.diff_id), reader, size)?;
        }
        Ok(size)
    }

    fn blob(&mut self, digest: &Digest) -> Result<()> {
        if !self.written.insert(*digest) {
            return Ok(());
        }
        let file = self.store.open_blob(digest)?;
        let size = file.metadata().map_err(failed)?.len();
        self.file(&blob_name(digest), file, size)
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.file(name, bytes, bytes.len() as u64)
    }

    fn file(&mut self, name: &str, content: impl Read, size: u64) -> Result<()> {
        self.head(name, Kind::File, size)?;
        let copied = io::copy(&mut content.take(size), &mut self.writer).map_err(failed)?;
        if copied != size {
            let detail = format!("it has {copied} bytes, not {size}");
            return Err(ImageError::Truncated { what: format!("`{name}` in the store"), detail });
        }
        let zeros = vec![0; usize::try_from(padding(size)).unwrap_or(0)];
        self.writer.write_all(&zeros).map_err(failed)
    }

    fn directory(&mut self, name: &str) -> Result<()> {
        self.head(name, Kind::Directory, 0)
    }

    fn head(&mut self, name: &str, kind: Kind, size: u64) -> Result<()> {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        let mut block = Vec::with_capacity(512);
        let head = EntryHead {
            path: name.as_bytes(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size,
            mtime: 0,
            link: b"",
            device: (0, 0),
            xattrs: &[],
            sparse_size: None,
        };
        write_head(&mut block, &head);
        self.writer.write_all(&block).map_err(failed)
    }
}

fn platform(image: &Image) -> crate::config::Platform {
    crate::config::Platform {
        architecture: image.config.architecture.clone(),
        os: image.config.os.clone(),
        variant: image.config.variant.clone(),
    }
}
