//! What is attached to images: bills of materials, provenance, signatures (image-spec, manifest property `subject`;
//! distribution-spec, "Referrers").
//!
//! Each attached document is a manifest of its own that names its subject. Which there are for a subject is told by an
//! image index at `referrers/<digest of the subject>`, what a registry answers to the same question. It lives as long as
//! the subject: whoever removes an image removes what is attached to it.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::index::Index;
use super::layers::descriptor;
use super::locks::{Exclusive, IndexLock};
use super::{BlobInfo, Image, Store, parse_manifest, to_json};
use crate::config::{Descriptor, Manifest, media};
use crate::digest::Digest;
use crate::error::{ImageError, Result};

/// Type of a configuration that says nothing (image-spec, "Guidance for an Empty Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Its content.
const EMPTY_BYTES: &[u8] = b"{}";

/// A document to attach to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is, such as `application/vnd.cyclonedx+json`.
    pub artifact_type: String,
    /// Media type of its bytes.
    pub media_type: String,
    /// The document.
    pub bytes: Vec<u8>,
    /// Free facts, shown in lists of what is attached.
    pub annotations: BTreeMap<String, String>,
}

impl Store {
    /// Attaches documents to an image of the store, durably. One of the same type takes the place of the one before.
    /// Gives the digests of their manifests.
    ///
    /// Errors: `NoSpace`, `Io`.
    pub fn attach(&self, image: &Image, documents: &[Attachment]) -> Result<Vec<Digest>> {
        let subject = self.subject(image)?;
        let config = descriptor(EMPTY, self.put_document(EMPTY_BYTES)?);
        let mut entries = Vec::new();
        for document in documents {
            let layer = descriptor(&document.media_type, self.put_document(&document.bytes)?);
            let manifest = Manifest {
                schema_version: 2,
                media_type: Some(media::MANIFEST.to_owned()),
                artifact_type: Some(document.artifact_type.clone()),
                config: config.clone(),
                layers: vec![layer],
                subject: Some(subject.clone()),
                annotations: document.annotations.clone(),
            };
            let made = self.put_document(&to_json(&manifest, "manifest of an attached document")?)?;
            entries.push(Descriptor {
                artifact_type: Some(document.artifact_type.clone()),
                annotations: document.annotations.clone(),
                ..descriptor(media::MANIFEST, made)
            });
        }
        stockade_durable::create_private_dir(&self.root().join("referrers"))?;
        stockade_durable::sync_dir(&self.layout_dir().join("blobs/sha256"))?;
        let _lock = IndexLock::take(self.root())?;
        let mut index = self.referrers_index(&subject.digest)?;
        index.manifests.retain(|old| entries.iter().all(|new| new.artifact_type != old.artifact_type));
        index.manifests.extend(entries.iter().cloned());
        let bytes = to_json(&index, "list of attached documents")?;
        stockade_durable::write(&self.referrers_path(&subject.digest), &bytes, 0o644)?;
        Ok(entries.iter().map(|entry| entry.digest).collect())
    }

    /// What is attached to the manifest with this digest: the descriptors of the attached manifests.
    ///
    /// Errors: `Malformed`, `Io`. Nothing attached is an empty list.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        Ok(self.referrers_index(subject)?.manifests)
    }

    /// The manifest of an attached document.
    ///
    /// Errors: `MissingBlob`, `Malformed`.
    pub fn referrer_manifest(&self, referrer: &Descriptor) -> Result<Manifest> {
        parse_manifest(&self.read_blob(&referrer.digest)?, &referrer.digest)
    }

    /// The document of this type that is attached to an image, verified.
    ///
    /// Errors: as [`Store::read_blob`].
    pub fn attached(&self, image: &Image, artifact_type: &str) -> Result<Option<Vec<u8>>> {
        let entries = self.referrers(&image.manifest_digest)?;
        let Some(entry) = entries.iter().find(|e| e.artifact_type.as_deref() == Some(artifact_type)) else {
            return Ok(None);
        };
        match self.referrer_manifest(entry)?.layers.first() {
            Some(layer) => self.read_blob(&layer.digest).map(Some),
            None => Ok(None),
        }
    }

    fn subject(&self, image: &Image) -> Result<Descriptor> {
        let digest = image.manifest_digest;
        let size = self.blob_size(&digest);
        let size = size.ok_or_else(|| ImageError::MissingBlob { digest, needed_by: "the image".into() })?;
        let media_type = image.manifest.media_type.clone().unwrap_or_else(|| media::MANIFEST.to_owned());
        Ok(descriptor(&media_type, BlobInfo { digest, size }))
    }

    fn referrers_path(&self, subject: &Digest) -> PathBuf {
        self.root().join("referrers").join(subject.hex())
    }

    fn referrers_index(&self, subject: &Digest) -> Result<Index> {
        let path = self.referrers_path(subject);
        match std::fs::read(&path) {
            Ok(bytes) => Index::parse(&bytes, &path.display().to_string()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Index::default()),
            Err(e) => Err(ImageError::io("read", &path, e)),
        }
    }

    /// Adds what is attached to any manifest of `found`; as much as can be read.
    pub(super) fn add_referrers(&self, found: &mut HashSet<Digest>) {
        let subjects: Vec<Digest> = found.iter().copied().collect();
        for entry in subjects.iter().filter_map(|subject| self.referrers(subject).ok()).flatten() {
            found.insert(entry.digest);
            if let Ok(manifest) = self.referrer_manifest(&entry) {
                found.insert(manifest.config.digest);
                found.extend(manifest.layers.iter().map(|layer| layer.digest));
            }
        }
    }

    /// Removes the lists of subjects that are gone.
    pub(super) fn sweep_referrers(&self, _gc: &Exclusive, live: &HashSet<Digest>) {
        for subject in super::collect::digests_in(&self.root().join("referrers")).unwrap_or_default() {
            if !live.contains(&subject) {
                // One that stays is found again by the next sweep.
                let _ = std::fs::remove_file(self.referrers_path(&subject));
            }
        }
    }

    /// Attached documents that cannot be read: of which subject, its list, and what is wrong.
    pub(super) fn damaged_referrers(&self) -> Vec<(Digest, PathBuf, String)> {
        let mut out = Vec::new();
        for subject in super::collect::digests_in(&self.root().join("referrers")).unwrap_or_default() {
            let path = self.referrers_path(&subject);
            let why = match self.referrers(&subject) {
                Ok(entries) => entries.iter().find_map(|entry| self.lacks(entry)),
                Err(e) => Some(e.to_string()),
            };
            // Removed with its image in the meantime.
            out.extend(why.filter(|_| path.exists()).map(|why| (subject, path, why)));
        }
        out
    }

    /// What an attached document lacks.
    fn lacks(&self, entry: &Descriptor) -> Option<String> {
        let lost = match self.referrer_manifest(entry) {
            Ok(manifest) => manifest.layers.into_iter().find(|l| self.blob_size(&l.digest) != Some(l.size))?,
            Err(_) => entry.clone(),
        };
        Some(format!("its blob {} is missing or damaged", lost.digest))
    }
}
