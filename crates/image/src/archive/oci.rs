//! OCI image layouts in a tar.

use super::docker::parse_docker_manifest;
use super::staged::StagedArchive;
use crate::config::{Descriptor, ImageConfig, Manifest};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::reference::Reference;
use crate::store::index::{IMAGE_NAME, Index, REF_NAME};
use crate::store::{Image, Store, choose_platform, is_index, parse_manifest};

/// How deep indexes may refer to indexes.
const MAX_DEPTH: u32 = 3;
/// Docker's mark on attestations, which sit beside images in an index.
const ATTESTATION: &str = "vnd.docker.reference.type";

pub(super) fn load(store: &Store, archive: &StagedArchive) -> Result<Vec<Image>> {
    let index = Index::parse(&archive.document("index.json")?, "index.json of the image archive")?;
    let mut images: Vec<Image> = Vec::new();
    for entry in index.manifests.iter().filter(|m| is_image(m)) {
        let name = name_in_archive(entry);
        let Some(image) = load_entry(store, archive, entry, name.as_slice(), 0)? else { continue };
        images.retain(|known| known.manifest_digest != image.manifest_digest);
        images.push(image);
    }
    if images.is_empty() {
        return Err(ImageError::malformed("image archive", "its index holds no image"));
    }
    name_by_docker_manifest(store, archive, &mut images)?;
    Ok(images)
}

/// An index without names may stand beside a `manifest.json` that has them.
fn name_by_docker_manifest(store: &Store, archive: &StagedArchive, images: &mut [Image]) -> Result<()> {
    if !archive.has("manifest.json") || images.iter().any(|image| !image.names.is_empty()) {
        return Ok(());
    }
    for entry in parse_docker_manifest(&archive.document("manifest.json")?)? {
        let id = Digest::of(&archive.document(&entry.config)?);
        let Some(image) = images.iter_mut().find(|image| image.id == id) else { continue };
        for name in entry.repo_tags.iter().flatten() {
            store.tag(&id, &Reference::parse(name)?.or_latest())?;
        }
        if let Some(named) = store.get(&id)? {
            *image = named;
        }
    }
    Ok(())
}

fn is_image(entry: &Descriptor) -> bool {
    let unknown = entry.platform.as_ref().is_some_and(|p| p.os == "unknown" || p.architecture == "unknown");
    !unknown && entry.artifact_type.is_none() && !entry.annotations.contains_key(ATTESTATION)
}

/// A full name. A bare tag, which is all that some tools write, names nothing.
fn name_in_archive(entry: &Descriptor) -> Option<Reference> {
    let full = entry.annotations.get(IMAGE_NAME);
    let reference = entry.annotations.get(REF_NAME).filter(|r| r.contains([':', '/']));
    Reference::parse(full.or(reference)?).ok().map(Reference::or_latest)
}

/// `None` for a manifest that is no image.
fn load_entry(
    store: &Store,
    archive: &StagedArchive,
    entry: &Descriptor,
    names: &[Reference],
    depth: u32,
) -> Result<Option<Image>> {
    let bytes = promised_document(archive, &entry.digest)?;
    if is_index(&entry.media_type) {
        if depth >= MAX_DEPTH {
            return Err(ImageError::malformed("image archive", "its indexes are nested too deeply"));
        }
        let inner = Index::parse(&bytes, "an index of the image archive")?;
        return load_entry(store, archive, choose_platform(&inner, &entry.digest)?, names, depth + 1);
    }
    let manifest = parse_manifest(&bytes, &entry.digest)?;
    if manifest.artifact_type.is_some() {
        return Ok(None);
    }
    load_image(store, archive, entry, &bytes, &manifest, names).map(Some)
}

fn load_image(
    store: &Store,
    archive: &StagedArchive,
    entry: &Descriptor,
    bytes: &[u8],
    manifest: &Manifest,
    names: &[Reference],
) -> Result<Image> {
    let what = || format!("image configuration {}", manifest.config.digest);
    let config_bytes = promised_document(archive, &manifest.config.digest)?;
    let config: ImageConfig = serde_json::from_slice(&config_bytes).map_err(|e| ImageError::malformed(what(), e))?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let reason = format!("it tells {} layers, its manifest tells {}", diff_ids.len(), manifest.layers.len());
        return Err(ImageError::malformed(what(), reason));
    }
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (promised, diff_id) in manifest.layers.iter().zip(diff_ids) {
        let known = store.layer(diff_id)?.filter(|layer| layer.descriptor.digest == promised.digest);
        layers.push(match known {
            Some(known) => known,
            None => store.layer_from_staged_blob(archive.file(&blob_name(&promised.digest))?, promised, diff_id)?,
        });
    }
    // The layer that was unpacked may have come from another blob with the same content: this image has its own.
    for (layer, promised) in layers.iter_mut().zip(&manifest.layers) {
        layer.descriptor = promised.clone();
    }
    store.put_document(&config_bytes)?;
    store.put_document(bytes)?;
    let size = bytes.len() as u64;
    let plain = Descriptor { annotations: std::collections::BTreeMap::new(), platform: None, size, ..entry.clone() };
    store.add_image(&plain, &layers, names)
}

/// A document whose digest is promised.
fn promised_document(archive: &StagedArchive, digest: &Digest) -> Result<Vec<u8>> {
    let bytes = archive.document(&blob_name(digest))?;
    let actual = Digest::of(&bytes);
    if actual == *digest {
        return Ok(bytes);
    }
    Err(ImageError::DigestMismatch { what: "a document of the image archive".into(), expected: *digest, actual })
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
