//! What is attached to an image: SBOMs, signatures, provenance (distribution-spec, "Referrers").

use std::collections::BTreeMap;

use stockade_image::config::media;
use stockade_image::{Descriptor, Digest, Image, Manifest, Reference, Store};

use crate::client::Client;
use crate::document::{Document, Entry, ImageIndex};
use crate::error::{RegistryError, Result};
use crate::places::Place;
use crate::progress::Progress;
use crate::push::Pushed;
use crate::upload::Outgoing;

/// Type of a configuration that says nothing (image-spec, "Guidance for an empty descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Its content.
const EMPTY_BYTES: &[u8] = b"{}";

/// Something to attach to an image.
#[derive(Debug, Clone, Default)]
pub struct Artifact {
    /// Its type, such as `application/vnd.cyclonedx+json`.
    pub artifact_type: String,
    /// Its documents: media type and bytes.
    pub blobs: Vec<(String, Vec<u8>)>,
    /// Free facts.
    pub annotations: BTreeMap<String, String>,
}

impl Client {
    /// What is attached to the document with this digest, of one type or of all. Registries without the referrers
    /// interface keep a list under a tag, which is read then.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Vec<Entry>> {
        let place = Place::of(reference, &self.transport.options);
        let mut address = place.address(&format!("referrers/{subject}"));
        if let Some(wanted) = artifact_type {
            address = address.with_query(&[("artifactType", wanted)]);
        }
        let what = format!("what is attached to {}", subject.short());
        let mut found = Vec::new();
        let read = self.pages(&place, address, &[place.scope("pull")], &what, progress, |page: ImageIndex| {
            found.extend(page.manifests);
        });
        match read {
            Ok(_) => {}
            // Registries that do not know the address answer with anything but a list.
            Err(
                RegistryError::NotFound { .. }
                | RegistryError::Protocol { .. }
                | RegistryError::Status { status: 400..=499, .. },
            ) => {
                found =
                    self.tagged_referrers(&place, subject, progress)?.map(|index| index.manifests).unwrap_or_default();
            }
            Err(e) => return Err(e),
        }
        // Filtering is a courtesy that a registry need not do.
        found.retain(|entry| artifact_type.is_none_or(|wanted| entry.artifact_type.as_deref() == Some(wanted)));
        Ok(found)
    }

    /// Attaches an artifact to a document that the repository has (or will have). Gives the artifact's digest.
    pub fn attach(
        &self,
        reference: &Reference,
        subject: &Descriptor,
        artifact: &Artifact,
        progress: &dyn Progress,
    ) -> Result<Digest> {
        let place = Place::of(reference, &self.transport.options);
        self.upload(&place, &Outgoing::bytes(EMPTY_BYTES), &[], progress)?;
        let mut layers = Vec::new();
        for (media_type, bytes) in &artifact.blobs {
            self.upload(&place, &Outgoing::bytes(bytes), &[], progress)?;
            layers.push(descriptor(media_type, bytes));
        }
        if layers.is_empty() {
            layers.push(descriptor(EMPTY, EMPTY_BYTES));
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: Some(artifact.artifact_type.clone()),
            config: descriptor(EMPTY, EMPTY_BYTES),
            layers,
            subject: Some(Descriptor {
                annotations: BTreeMap::new(),
                platform: None,
                artifact_type: None,
                ..subject.clone()
            }),
            annotations: artifact.annotations.clone(),
        };
        let bytes = json(&manifest)?;
        let digest = Digest::of(&bytes);
        let answer = self.put_manifest(&place, &digest.to_string(), media::MANIFEST, &bytes, progress)?;
        if answer.header("oci-subject").is_none() {
            let entry = Entry {
                media_type: media::MANIFEST.to_owned(),
                digest,
                size: bytes.len() as u64,
                platform: None,
                artifact_type: Some(artifact.artifact_type.clone()),
                annotations: artifact.annotations.clone(),
            };
            self.add_tagged_referrer(&place, &subject.digest, entry, progress)?;
        }
        Ok(digest)
    }

    /// Sends what the store has attached to an image after the image itself; `pushed` is what that became. Gives the
    /// number of documents.
    ///
    /// Errors: those of [`Client::attach`], and of the store.
    pub fn push_attached(
        &self,
        store: &Store,
        image: &Image,
        reference: &Reference,
        pushed: &Pushed,
        progress: &dyn Progress,
    ) -> Result<usize> {
        let entries = store.referrers(&image.manifest_digest)?;
        let subject = Descriptor {
            media_type: image.manifest.media_type.clone().unwrap_or_else(|| media::MANIFEST.to_owned()),
            digest: pushed.digest,
            size: pushed.size,
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        };
        for entry in &entries {
            let manifest = store.referrer_manifest(entry)?;
            let mut blobs = Vec::new();
            for layer in &manifest.layers {
                blobs.push((layer.media_type.clone(), store.read_blob(&layer.digest)?));
            }
            let artifact_type = manifest.artifact_type.unwrap_or_default();
            let artifact = Artifact { artifact_type, blobs, annotations: manifest.annotations };
            self.attach(reference, &subject, &artifact, progress)?;
        }
        Ok(entries.len())
    }

    fn tagged_referrers(&self, place: &Place, subject: &Digest, progress: &dyn Progress) -> Result<Option<ImageIndex>> {
        match self.fetch_manifest(place, &referrers_tag(subject), progress) {
            Ok(fetched) => match fetched.document {
                Document::Index(index) => Ok(Some(index)),
                Document::Image(_) => Err(RegistryError::Malformed {
                    what: format!("the tag {} of {}", referrers_tag(subject), place.repository),
                    reason: "it should be a list of what is attached, and is an image".to_owned(),
                }),
            },
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Two that attach at the same time may lose one's entry: the specification has no better way without the
    /// referrers interface.
    fn add_tagged_referrer(
        &self,
        place: &Place,
        subject: &Digest,
        entry: Entry,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut index = self.tagged_referrers(place, subject, progress)?.unwrap_or_else(|| ImageIndex::new(Vec::new()));
        index.manifests.retain(|known| known.digest != entry.digest);
        index.manifests.push(entry);
        self.put_manifest(place, &referrers_tag(subject), media::INDEX, &json(&index)?, progress).map(drop)
    }
}

/// The tag of the list: `sha256-<hex>`.
fn referrers_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        annotations: BTreeMap::new(),
        platform: None,
        artifact_type: None,
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|e| RegistryError::Malformed { what: "the manifest".to_owned(), reason: e.to_string() })
}
