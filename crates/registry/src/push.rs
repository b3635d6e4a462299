//! Pushing: blobs first, the manifest last, so that the registry never names what it does not have.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;

use stockade_image::config::media;
use stockade_image::{Descriptor, Digest, Image, Manifest, Reference, Staging, Store};

use crate::client::Client;
use crate::error::{RegistryError, Result};
use crate::http::lock;
use crate::places::Place;
use crate::progress::{BlobState, Progress};
use crate::pull::in_parallel;
use crate::recompress::gzip;
use crate::upload::{Outgoing, Source};

/// How layers are compressed on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PushCompression {
    /// As the store has them: the image keeps its digest.
    #[default]
    AsStored,
    /// In gzip, which everybody reads: layers in zstd are compressed anew, and the manifest becomes another one. The
    /// image's id stays.
    Gzip,
}

/// What a push may be told.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// How layers are compressed.
    pub compression: PushCompression,
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What the registry took it under: a tag, or the digest.
    pub tag: String,
}

/// What is to be sent: a manifest and the files of its blobs.
struct Shipment {
    media_type: String,
    manifest: Vec<u8>,
    blobs: Vec<(Digest, u64, PathBuf)>,
    /// Holds the files that were made for this.
    _staging: Option<Staging>,
}

impl Client {
    /// Sends an image of the store to where `reference` says. Blobs that the repository has are not sent; those that
    /// another repository of the same registry has, as the store's names tell, are taken from there.
    pub fn push(
        &self,
        store: &Store,
        image: &Image,
        reference: &Reference,
        options: &PushOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let place = Place::of(reference, &self.transport.options);
        let shipment = match options.compression {
            PushCompression::AsStored => as_stored(store, image)?,
            PushCompression::Gzip => self.in_gzip(store, image, progress)?,
        };
        self.ship(&place, reference, &shipment, &siblings(store, reference)?, progress)
    }

    /// Sends a manifest that no store has, with the files of its blobs: (digest, size, file).
    ///
    /// Errors: `Denied`, `Status`, …
    pub fn push_files(
        &self,
        reference: &Reference,
        media_type: &str,
        manifest: Vec<u8>,
        blobs: Vec<(Digest, u64, PathBuf)>,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let place = Place::of(reference, &self.transport.options);
        self.ship(&place, reference, &shipment(media_type.to_owned(), manifest, blobs, None), &[], progress)
    }

    /// Blobs first. `siblings` are repositories of the same registry, with the blobs that they have.
    fn ship(
        &self,
        place: &Place,
        reference: &Reference,
        shipment: &Shipment,
        siblings: &[(String, HashSet<Digest>)],
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        for (digest, size, _) in &shipment.blobs {
            progress.blob(digest, BlobState::Queued(*size));
        }
        in_parallel(self.transport.options.parallel, &shipment.blobs, progress, |(digest, size, path), progress| {
            let from =
                siblings.iter().filter(|(_, has)| has.contains(digest)).map(|(repository, _)| repository.clone());
            let from: Vec<String> = from.take(1).collect();
            let blob = Outgoing { digest: *digest, size: *size, source: Source::File(path) };
            self.upload(place, &blob, &from, progress)
        })?;
        let digest = Digest::of(&shipment.manifest);
        let named = reference.clone().or_latest();
        let tag = match (named.digest, named.tag) {
            (Some(wanted), _) if wanted != digest => {
                let reason = format!("the image's manifest is {digest}; leave the digest out or push to a tag");
                return Err(RegistryError::Setting { what: format!("`{reference}`"), reason });
            }
            (Some(wanted), _) => wanted.to_string(),
            (None, tag) => tag.unwrap_or_default(),
        };
        self.put_manifest(place, &tag, &shipment.media_type, &shipment.manifest, progress)?;
        Ok(Pushed { digest, size: shipment.manifest.len() as u64, tag })
    }

    fn in_gzip(&self, store: &Store, image: &Image, progress: &dyn Progress) -> Result<Shipment> {
        let staging = store.staging_dir()?;
        let places: Vec<usize> = (0..image.manifest.layers.len()).collect();
        let made: Mutex<Vec<Option<(Descriptor, PathBuf)>>> = Mutex::new(vec![None; places.len()]);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        in_parallel(threads, &places, progress, |at, _| {
            let Some(layer) = image.manifest.layers.get(*at) else { return Ok(()) };
            // Files are named by what they are made of: an image may have a layer twice.
            let dir = staging.path().join(at.to_string());
            std::fs::create_dir(&dir).map_err(RegistryError::io("create", &dir))?;
            let one = gzip(store, layer, &dir)?;
            if let Some(slot) = lock(&made).get_mut(*at) {
                *slot = Some(one);
            }
            Ok(())
        })?;
        let made: Vec<(Descriptor, PathBuf)> = made.into_inner().unwrap_or_default().into_iter().flatten().collect();
        let mut manifest = Manifest { media_type: Some(media::MANIFEST.to_owned()), ..image.manifest.clone() };
        manifest.config.media_type = media::CONFIG.to_owned();
        manifest.layers = made.iter().map(|(layer, _)| layer.clone()).collect();
        for layer in &mut manifest.layers {
            layer.media_type = media::LAYER_GZIP.to_owned();
        }
        let bytes = serde_json::to_vec(&manifest)
            .map_err(|e| RegistryError::Malformed { what: "the manifest".to_owned(), reason: e.to_string() })?;
        let mut blobs = vec![stored(store, &image.manifest.config)?];
        blobs.extend(made.into_iter().map(|(layer, path)| (layer.digest, layer.size, path)));
        Ok(shipment(media::MANIFEST.to_owned(), bytes, blobs, Some(staging)))
    }
}

fn as_stored(store: &Store, image: &Image) -> Result<Shipment> {
    let bytes = store.read_blob(&image.manifest_digest)?;
    let mut blobs = vec![stored(store, &image.manifest.config)?];
    for layer in &image.manifest.layers {
        blobs.push(stored(store, layer)?);
    }
    // The type that it says itself, or that an OCI manifest without one has.
    let media_type = image.manifest.media_type.clone().unwrap_or_else(|| media::MANIFEST.to_owned());
    Ok(shipment(media_type, bytes, blobs, None))
}

fn shipment(
    media_type: String,
    manifest: Vec<u8>,
    mut blobs: Vec<(Digest, u64, PathBuf)>,
    staging: Option<Staging>,
) -> Shipment {
    let mut seen = HashSet::new();
    blobs.retain(|(digest, ..)| seen.insert(*digest));
    Shipment { media_type, manifest, blobs, _staging: staging }
}

fn stored(store: &Store, blob: &Descriptor) -> Result<(Digest, u64, PathBuf)> {
    match store.blob_size(&blob.digest) {
        Some(size) if size == blob.size => Ok((blob.digest, size, store.blob_file(&blob.digest)?)),
        _ => {
            Err(stockade_image::ImageError::MissingBlob { digest: blob.digest, needed_by: "the image".to_owned() }
                .into())
        }
    }
}

/// Other repositories of the same registry that images of the store are named after, and the blobs of those images.
fn siblings(store: &Store, reference: &Reference) -> Result<Vec<(String, HashSet<Digest>)>> {
    let mut found: Vec<(String, HashSet<Digest>)> = Vec::new();
    for image in store.list()? {
        let names = image.names.iter().filter_map(|name| name.parse::<Reference>().ok());
        for name in names.filter(|n| n.registry == reference.registry && n.repository != reference.repository) {
            let blobs = image.manifest.layers.iter().map(|l| l.digest).chain([image.id]);
            match found.iter_mut().find(|(repository, _)| *repository == name.path()) {
                Some((_, known)) => known.extend(blobs),
                None => found.push((name.path(), blobs.collect())),
            }
        }
    }
    Ok(found)
}
