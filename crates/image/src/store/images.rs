//! Images: what the documents in the store say, found by name or id. Readers take no lock.

use std::collections::BTreeMap;

use super::Store;
use super::index::{self, Index};
use super::layers::{Layer, descriptor, unpacked_bytes};
use super::locks::{IndexLock, Shared};
use crate::config::{Descriptor, ImageConfig, Manifest, RootFs, media};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::reference::Reference;

/// An image of the store, with what its documents say.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the configuration: the image id that docker shows.
    pub id: Digest,
    /// Digest of the manifest: what registries know the image by.
    pub manifest_digest: Digest,
    /// The configuration.
    pub config: ImageConfig,
    /// The manifest.
    pub manifest: Manifest,
    /// Names in familiar form, sorted; empty for a dangling image.
    pub names: Vec<String>,
    /// Bytes of the unpacked files of all layers.
    pub size: u64,
    /// RFC 3339 time of creation, as the configuration says.
    pub created: Option<String>,
}

/// How deep indexes may refer to indexes. One level is what multi-platform images have.
pub(super) const MAX_INDEX_DEPTH: u32 = 3;

impl Store {
    /// Finds an image as docker does: by full id or manifest digest, by name (`debian` means `debian:latest`), by
    /// `name@digest`, or by a prefix of its id.
    ///
    /// Errors: `InvalidReference` if the text can be none of these, `Ambiguous` for a prefix of several ids, and what
    /// damaged documents cause.
    pub fn resolve(&self, text: &str) -> Result<Option<Image>> {
        let index = self.read_index()?;
        let Some(manifest) = self.find_entry(&index, text)? else { return Ok(None) };
        self.load_image(&index, manifest).map(Some)
    }

    pub(super) fn find_entry<'i>(&self, index: &'i Index, text: &str) -> Result<Option<&'i Descriptor>> {
        let digest = text.parse().or_else(|_| format!("sha256:{text}").parse::<Digest>());
        if let Ok(digest) = digest {
            return Ok(self.find_id(index, &digest).or_else(|| index.manifests.iter().find(|m| m.digest == digest)));
        }
        let parsed = Reference::parse(text);
        if let Ok(reference) = &parsed
            && let Some(found) = find_name(index, reference)
        {
            return Ok(Some(found));
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return self.find_prefix(index, prefix);
        }
        parsed.map(|_| None)
    }

    fn find_id<'i>(&self, index: &'i Index, id: &Digest) -> Option<&'i Descriptor> {
        index.manifests.iter().find(|m| self.entry_id(m).as_ref() == Some(id))
    }

    fn find_prefix<'i>(&self, index: &'i Index, prefix: &str) -> Result<Option<&'i Descriptor>> {
        let mut found: BTreeMap<Digest, &Descriptor> = BTreeMap::new();
        for entry in &index.manifests {
            if let Some(id) = self.entry_id(entry).filter(|id| id.hex().starts_with(prefix)) {
                found.entry(id).or_insert(entry);
            }
        }
        if found.len() > 1 {
            let matches = found.keys().map(Digest::short).collect();
            return Err(ImageError::Ambiguous { prefix: prefix.to_owned(), matches });
        }
        Ok(found.into_values().next())
    }

    /// The id of an entry: told by our annotation, or by the manifest where another tool wrote the entry.
    pub(super) fn entry_id(&self, entry: &Descriptor) -> Option<Digest> {
        index::id_of(entry).or_else(|| self.read_manifest(entry, 0).ok().map(|(_, manifest)| manifest.config.digest))
    }

    /// The image with this id (configuration digest).
    pub fn get(&self, id: &Digest) -> Result<Option<Image>> {
        let index = self.read_index()?;
        self.find_id(&index, id).map(|entry| self.load_image(&index, entry)).transpose()
    }

    /// All images, newest first. Images whose documents are damaged are left out; [`Store::verify`] reports them.
    pub fn list(&self) -> Result<Vec<Image>> {
        let index = self.read_index()?;
        let mut images: Vec<Image> =
            index.distinct().into_iter().filter_map(|entry| self.load_image(&index, entry).ok()).collect();
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.names.cmp(&b.names)).then(a.id.cmp(&b.id)));
        Ok(images)
    }

    pub(super) fn load_image(&self, index: &Index, entry: &Descriptor) -> Result<Image> {
        let (manifest_digest, manifest) = self.read_manifest(entry, 0)?;
        let id = manifest.config.digest;
        let config = self.read_config(&id)?;
        let names = index.names(&entry.digest).iter().map(Reference::to_string).collect();
        let mut image =
            Image { id, manifest_digest, created: config.created.clone(), config, manifest, names, size: 0 };
        image.size = match index::size_of(entry) {
            Some(size) => size,
            None => self.layers(&image)?.iter().map(|layer| unpacked_bytes(self, layer)).sum(),
        };
        Ok(image)
    }

    pub(crate) fn read_config(&self, id: &Digest) -> Result<ImageConfig> {
        serde_json::from_slice(&self.read_blob(id)?)
            .map_err(|e| ImageError::malformed(format!("image configuration {id}"), e))
    }

    /// Reads the manifest of an entry; an index is followed to the manifest for this machine.
    pub(super) fn read_manifest(&self, entry: &Descriptor, depth: u32) -> Result<(Digest, Manifest)> {
        let bytes = self.read_blob(&entry.digest)?;
        if !is_index(&entry.media_type) {
            let manifest = parse_manifest(&bytes, &entry.digest)?;
            return Ok((entry.digest, manifest));
        }
        if depth >= MAX_INDEX_DEPTH {
            return Err(ImageError::malformed(format!("image index {}", entry.digest), "it is nested too deeply"));
        }
        let inner = Index::parse(&bytes, &format!("image index {}", entry.digest))?;
        self.read_manifest(choose_platform(&inner, &entry.digest)?, depth + 1)
    }

    /// Makes an image of `layers` (all of them, lowest first) and gives it `names`. The configuration's list of
    /// layers is filled in. The image exists, durably, when this returns; before that nothing refers to it.
    ///
    /// Errors: `MissingBlob` if a layer is not in the store.
    pub fn commit(
        &self,
        mut config: ImageConfig,
        layers: &[Layer],
        names: &[Reference],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Image> {
        config.rootfs = RootFs { kind: "layers".into(), diff_ids: layers.iter().map(|l| l.diff_id).collect() };
        self.commit_bytes(&to_json(&config, "image configuration")?, layers, names, annotations)
    }

    /// As [`Store::commit`], with a configuration that keeps its bytes, and so the image its id.
    pub(crate) fn commit_bytes(
        &self,
        config: &[u8],
        layers: &[Layer],
        names: &[Reference],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Image> {
        let config = self.put_document(config)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: None,
            config: descriptor(media::CONFIG, config),
            layers: layers.iter().map(|l| l.descriptor.clone()).collect(),
            subject: None,
            annotations: annotations.clone(),
        };
        let manifest = self.put_document(&to_json(&manifest, "image manifest")?)?;
        self.add_image(&descriptor(media::MANIFEST, manifest), layers, names)
    }

    /// Makes the index refer to a manifest whose blobs are all in the store.
    pub(crate) fn add_image(&self, manifest: &Descriptor, layers: &[Layer], names: &[Reference]) -> Result<Image> {
        let gc = Shared::take(self.root())?;
        let (_, document) = self.read_manifest(manifest, 0)?;
        let id = document.config.digest;
        let content = layers.iter().flat_map(|l| [l.diff_id, l.descriptor.digest]);
        self.session()?.pin(&gc, content.chain([manifest.digest, id]))?;
        for layer in layers {
            if self.blob_size(&layer.descriptor.digest) != Some(layer.descriptor.size) {
                let needed_by = format!("layer {}", layer.diff_id.short());
                return Err(ImageError::MissingBlob { digest: layer.descriptor.digest, needed_by });
            }
        }
        let index = self.read_index()?;
        if let Some(entry) = index.manifests.iter().find(|m| m.digest == manifest.digest)
            && names.iter().all(|name| find_name(&index, name).is_some_and(|m| m.digest == manifest.digest))
        {
            // A build that changed nothing: all of it is on disk already.
            return self.load_image(&index, entry);
        }
        // The names of blobs and layers must be on disk before the index tells of them.
        stockade_durable::sync_dir(&self.layout_dir().join("blobs/sha256"))?;
        stockade_durable::sync_dir(&self.root().join("layers"))?;
        let size = layers.iter().map(|layer| unpacked_bytes(self, layer)).sum();
        let entry = index::entry(manifest.clone(), &id, size);
        let index = self.change_index(|index| {
            index.add(&entry, names);
            Ok(())
        })?;
        self.load_image(&index, &entry)
    }

    /// Gives the image another name. A name that another image has moves.
    ///
    /// Errors: `NotFound`.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        self.change_index(|index| {
            let entry = self.find_id(index, id).cloned();
            let entry = entry.ok_or_else(|| ImageError::NotFound { name: id.to_string() })?;
            index.add(&entry, std::slice::from_ref(name));
            Ok(())
        })
        .map(drop)
    }

    /// Takes a name away; the image stays, dangling if it was its last name. Gives the image's id.
    ///
    /// Errors: `NotFound`.
    pub fn untag(&self, name: &Reference) -> Result<Digest> {
        let mut id = None;
        self.change_index(|index| {
            let entry = index.remove_name(name).ok_or_else(|| ImageError::NotFound { name: name.to_string() })?;
            id = self.entry_id(&entry);
            Ok(())
        })?;
        id.ok_or_else(|| ImageError::NotFound { name: name.to_string() })
    }

    pub(super) fn read_index(&self) -> Result<Index> {
        Index::read(&self.layout_dir())
    }

    /// Changes the index under its lock; gives the new one.
    pub(super) fn change_index(&self, change: impl FnOnce(&mut Index) -> Result<()>) -> Result<Index> {
        let lock = IndexLock::take(self.root())?;
        let mut index = self.read_index()?;
        change(&mut index)?;
        index.write(&self.layout_dir(), &lock)?;
        Ok(index)
    }
}

/// Finds `name[:tag]`, or `name@digest` among the names of that repository.
fn find_name<'i>(index: &'i Index, reference: &Reference) -> Option<&'i Descriptor> {
    let wanted = reference.clone().or_latest();
    let exact = index.manifests.iter().find(|m| index::name_of(m).as_ref() == Some(&wanted));
    let Some(digest) = reference.digest.filter(|_| exact.is_none()) else { return exact };
    let in_repository = |m: &&Descriptor| index::name_of(m).is_some_and(|n| n.same_repository(reference));
    index.manifests.iter().filter(|m| m.digest == digest).find(in_repository)
}

pub(crate) fn is_index(media_type: &str) -> bool {
    matches!(media_type, media::INDEX | media::DOCKER_MANIFEST_LIST)
}

pub(crate) fn parse_manifest(bytes: &[u8], digest: &Digest) -> Result<Manifest> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| ImageError::malformed(format!("image manifest {digest}"), e))?;
    if manifest.schema_version != 2 {
        return Err(ImageError::Unsupported {
            what: format!("image manifest {digest}"),
            reason: format!("its schema version is {}, not 2", manifest.schema_version),
        });
    }
    Ok(manifest)
}

/// The entry for this machine's architecture; without one, the first that is an image at all.
pub(crate) fn choose_platform<'i>(index: &'i Index, digest: &Digest) -> Result<&'i Descriptor> {
    let arch = host_architecture();
    let usable = |m: &&Descriptor| m.platform.as_ref().is_none_or(|p| p.os != "unknown" && p.architecture != "unknown");
    let fits = |m: &&Descriptor| m.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == arch);
    index.manifests.iter().find(fits).or_else(|| index.manifests.iter().find(usable)).ok_or_else(|| {
        ImageError::Unsupported { what: format!("image index {digest}"), reason: "it holds no image".into() }
    })
}

/// Go's name of the architecture that this program was built for.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize, what: &str) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| ImageError::malformed(what, e))
}
