//! Pulling: find the manifest, fetch what the store lacks, then make the image, all at once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use stockade_image::store::MAX_DOCUMENT_BYTES;
use stockade_image::{
    Descriptor, Digest, Image, ImageConfig, ImageError, Layer, Manifest, Partial, Platform, Reference, Store,
};

use crate::blob::BlobReader;
use crate::client::Client;
use crate::document::Fetched;
use crate::error::{RegistryError, Result};
use crate::http::lock;
use crate::manifests::wanted;
use crate::places::{Candidate, Place, candidates};
use crate::platform;
use crate::progress::{BlobState, Progress};
use crate::retry;

/// Blobs that were received in part are kept this long for a pull that goes on.
const KEEP_PARTIAL: Duration = Duration::from_secs(3 * 24 * 3600);
/// Between looks at whether another process has finished a blob.
const WAIT_FOR_OTHER: Duration = Duration::from_millis(100);
/// Annotation of an image in the store: the name and digest that it was pulled by.
pub(crate) const PULLED: &str = "dev.stockade.image.pulled";

/// What a pull may be told.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// The machine that the image is for; `None` means this one.
    pub platform: Option<Platform>,
}

/// An image that was pulled.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image, as the store has it.
    pub image: Image,
    /// Digest of the document that the name leads to: of the index, where there is one.
    pub digest: Digest,
    /// The host that had it.
    pub host: String,
    /// The full name, where a short name was found in another registry than docker.io.
    pub found_as: Option<Reference>,
    /// Whether the name meant another image before, or none.
    pub new: bool,
}

/// The documents of an image at a place.
struct Found {
    top: Digest,
    manifest: Fetched,
    image: Manifest,
    config: Vec<u8>,
    diff_ids: Vec<Digest>,
}

impl Client {
    /// Pulls an image into the store, under the name that was asked for. Mirrors come first, then the registry; a
    /// short name is looked up in the registries that the settings mark for that. When this returns, the image exists
    /// durably; before that nothing of it is to be seen.
    ///
    /// Errors: the place's own if there was one place; `Nowhere` with the story of each if there were several.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        store.sweep_partials(KEEP_PARTIAL);
        let mut tried: Vec<(String, RegistryError)> = Vec::new();
        for candidate in candidates(reference, &self.transport.options)? {
            for at in 0..candidate.places.len() {
                match self.pull_at(store, reference, &candidate, at, options, progress) {
                    Ok(pulled) => return Ok(pulled),
                    Err(e) if e.is_of_place() => {
                        let name = candidate.places.get(at).map(|p| p.name.clone()).unwrap_or_default();
                        tried.push((name, e));
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        if tried.len() == 1
            && let Some((_, only)) = tried.pop()
        {
            return Err(only);
        }
        let tried = tried.into_iter().map(|(place, e)| (place, e.to_string())).collect();
        Err(RegistryError::Nowhere { name: reference.to_string(), tried })
    }

    fn pull_at(
        &self,
        store: &Store,
        reference: &Reference,
        candidate: &Candidate,
        at: usize,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        // Blobs come from where the manifest is, or from whoever else serves the same.
        let mut places = candidate.places.clone();
        places.rotate_left(at);
        let Some(place) = places.first() else {
            return Err(RegistryError::Nowhere { name: reference.to_string(), tried: Vec::new() });
        };
        let found = self.find(place, reference, options, progress)?;
        let layers = self.fetch_layers(store, &places, &found, progress)?;
        let before = store.resolve(&reference.to_string()).ok().flatten().map(|image| image.manifest_digest);
        let names: Vec<Reference> = [Some(reference), candidate.found_as.as_ref()]
            .into_iter()
            .flatten()
            .map(|n| n.clone().or_latest())
            .collect();
        let full = candidate.found_as.as_ref().unwrap_or(reference);
        let source = format!("{}/{}@{}", full.domain(), full.path(), found.top);
        let annotations = BTreeMap::from([(PULLED.to_owned(), source)]);
        let documents = (found.manifest.media_type.as_str(), found.manifest.bytes.as_slice());
        let image = store.commit_documents(documents, &found.config, &layers, &names, &annotations)?;
        Ok(Pulled {
            new: before != Some(found.manifest.digest),
            image,
            digest: found.top,
            host: place.name.clone(),
            found_as: candidate.found_as.clone(),
        })
    }

    /// Manifest and configuration for the machine.
    fn find(
        &self,
        place: &Place,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Found> {
        let name = reference.to_string();
        let machine = options.platform.clone().unwrap_or_else(platform::host);
        let fetched = self.fetch_manifest(place, &wanted(reference), progress)?;
        let top = fetched.digest;
        let (manifest, image) = self.choose_image(place, fetched, &machine, &name, progress)?;
        let config_place = std::slice::from_ref(place);
        let config =
            self.fetch_blob(config_place, &image.config.digest, image.config.size, MAX_DOCUMENT_BYTES, progress)?;
        let what = || format!("the configuration of `{name}`");
        let parsed: ImageConfig = serde_json::from_slice(&config)
            .map_err(|e| RegistryError::Malformed { what: what(), reason: crate::error::printable(&e.to_string()) })?;
        let diff_ids = parsed.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            let reason = format!("it tells {} layers, its manifest tells {}", diff_ids.len(), image.layers.len());
            return Err(RegistryError::Malformed { what: what(), reason });
        }
        let made_for = Platform { architecture: parsed.architecture, os: parsed.os, variant: parsed.variant };
        if !platform::fits(&made_for, &machine) {
            let available = vec![crate::error::printable(&platform::shown(&made_for))];
            if options.platform.is_some() {
                return Err(RegistryError::NoPlatform { name, wanted: platform::shown(&machine), available });
            }
            let (made_for, machine) = (available.join(""), platform::shown(&machine));
            progress.note(&format!("`{name}` is made for {made_for}, and this machine is {machine}"));
        }
        Ok(Found { top, manifest, image, config, diff_ids })
    }

    /// The documents of an image at a place, for whoever reads its layers without storing them: the digest that the name
    /// leads to, the configuration's digest, the configuration, the layers.
    pub(crate) fn documents(
        &self,
        place: &Place,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<(Digest, Digest, ImageConfig, Vec<Descriptor>)> {
        let found = self.find(place, reference, options, progress)?;
        let config = serde_json::from_slice(&found.config).map_err(|e| RegistryError::Malformed {
            what: format!("the configuration of `{reference}`"),
            reason: crate::error::printable(&e.to_string()),
        })?;
        Ok((found.top, found.image.config.digest, config, found.image.layers))
    }

    /// All layers, in the order of the image; several at a time, each blob once.
    fn fetch_layers(
        &self,
        store: &Store,
        places: &[Place],
        found: &Found,
        progress: &dyn Progress,
    ) -> Result<Vec<Layer>> {
        let pairs: Vec<(&Descriptor, &Digest)> = found.image.layers.iter().zip(&found.diff_ids).collect();
        let mut unique: Vec<(&Descriptor, &Digest)> = Vec::new();
        for pair in &pairs {
            if !unique.contains(pair) {
                progress.blob(&pair.0.digest, BlobState::Queued(pair.0.size));
                unique.push(*pair);
            }
        }
        let made: Mutex<HashMap<(Digest, Digest), Layer>> = Mutex::default();
        in_parallel(self.transport.options.parallel, &unique, progress, |(promised, diff_id), progress| {
            let layer = self.fetch_layer(store, places, promised, diff_id, progress)?;
            lock(&made).insert((promised.digest, **diff_id), layer);
            Ok(())
        })?;
        let made = made.into_inner().unwrap_or_default();
        let in_order = pairs.iter().filter_map(|(promised, diff_id)| made.get(&(promised.digest, **diff_id)));
        // Each image has its own description of a blob.
        let layers: Vec<Layer> = in_order
            .zip(&found.image.layers)
            .map(|(layer, promised)| Layer { descriptor: promised.clone(), ..layer.clone() })
            .collect();
        Ok(layers)
    }

    /// One layer of what the reference's repository has, unpacked into the store. The layer stays at least while that
    /// `Store` value lives.
    ///
    /// Errors: `NotFound`, `Mismatch`, and those of the store.
    pub fn layer(
        &self,
        store: &Store,
        reference: &Reference,
        promised: &Descriptor,
        diff_id: &Digest,
        progress: &dyn Progress,
    ) -> Result<Layer> {
        let place = Place::of(reference, &self.transport.options);
        self.fetch_layer(store, std::slice::from_ref(&place), promised, diff_id, progress)
    }

    fn fetch_layer(
        &self,
        store: &Store,
        places: &[Place],
        promised: &Descriptor,
        diff_id: &Digest,
        progress: &dyn Progress,
    ) -> Result<Layer> {
        let mut places = places;
        let mut announced = false;
        loop {
            if let Some(layer) = store.promised_layer(promised, diff_id)? {
                progress.blob(&promised.digest, if announced { BlobState::Done } else { BlobState::Exists });
                return Ok(layer);
            }
            let Some(partial) = store.partial(&promised.digest)? else {
                if !announced {
                    progress.blob(&promised.digest, BlobState::Waiting);
                    announced = true;
                }
                retry::sleep(WAIT_FOR_OTHER, progress)?;
                continue;
            };
            // Whoever held it may just have finished.
            if let Some(layer) = store.promised_layer(promised, diff_id)? {
                partial.discard();
                progress.blob(&promised.digest, BlobState::Done);
                return Ok(layer);
            }
            let had = partial.bytes()?;
            match self.receive(store, places, &partial, promised, diff_id, progress) {
                Ok(layer) => {
                    progress.blob(&promised.digest, BlobState::Done);
                    return Ok(layer);
                }
                // What was kept from before may be what is wrong.
                Err(e) if is_wrong_content(&e) && had > 0 => {
                    progress.blob(&promised.digest, BlobState::Retrying(e.to_string()));
                    partial.restart()?;
                }
                Err(e) if is_wrong_content(&e) && places.len() > 1 => {
                    progress.blob(&promised.digest, BlobState::Retrying(e.to_string()));
                    partial.restart()?;
                    places = places.get(1..).unwrap_or_default();
                }
                Err(e) => {
                    if is_wrong_content(&e) || matches!(&e, RegistryError::Store(_)) {
                        partial.discard();
                    }
                    return Err(e);
                }
            }
        }
    }

    /// Receives what is missing of a blob while it is unpacked.
    fn receive(
        &self,
        store: &Store,
        places: &[Place],
        partial: &Partial,
        promised: &Descriptor,
        diff_id: &Digest,
        progress: &dyn Progress,
    ) -> Result<Layer> {
        let mut had = partial.bytes()?;
        if had > promised.size {
            partial.restart()?;
            had = 0;
        }
        let network = BlobReader::new(self, places, promised.digest, promised.size, had, progress);
        let slot = network.error_slot();
        let kept = partial.reader()?.take(had);
        let mut whole = Whole { kept, network, partial, progress, announced: false };
        let error = match store.layer_from_partial(partial, &mut whole, promised, diff_id) {
            Ok(layer) => return Ok(layer),
            Err(error) => error,
        };
        if let Some(cause) = lock(&slot).take() {
            return Err(cause);
        }
        let broken = matches!(
            &error,
            ImageError::Malformed { .. } | ImageError::Truncated { .. } | ImageError::DigestMismatch { .. }
        );
        // A stream that cannot be read is most often not the one that was promised, which the rest of it shows.
        if broken && io::copy(&mut whole, &mut io::sink()).is_ok() {
            let actual = digest_of(partial)?;
            if actual != promised.digest {
                let host = places.first().map(|p| p.origin.authority.clone()).unwrap_or_default();
                let what = format!("blob {}", promised.digest.short());
                return Err(RegistryError::mismatch(&host, what, &promised.digest, &actual));
            }
        }
        Err(error.into())
    }
}

fn is_wrong_content(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Mismatch { .. } | RegistryError::TooLarge { .. })
}

fn digest_of(partial: &Partial) -> Result<Digest> {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    let mut file = partial.reader()?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(RegistryError::io("read", std::path::Path::new("partial blob")))?;
        if read == 0 {
            return Ok(Digest::from_bytes(hash.finalize().into()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

/// A blob from its beginning: what was kept, then what comes, which is kept too.
struct Whole<'w> {
    kept: io::Take<File>,
    network: BlobReader<'w>,
    partial: &'w Partial,
    progress: &'w dyn Progress,
    announced: bool,
}

impl Read for Whole<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let kept = self.kept.read(buf)?;
        if kept > 0 {
            return Ok(kept);
        }
        let read = self.network.read(buf)?;
        if read == 0 && !buf.is_empty() && !self.announced {
            self.announced = true;
            self.progress.blob(self.partial.digest(), BlobState::Unpacking);
        }
        self.partial.append(buf.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

/// Does `work` for every item, on a few threads. The first error ends the rest.
pub(crate) fn in_parallel<T: Sync>(
    threads: usize,
    items: &[T],
    progress: &dyn Progress,
    work: impl Fn(&T, &dyn Progress) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<RegistryError>> = Mutex::default();
    let stoppable = Stoppable { inner: progress, stop: AtomicBool::new(false) };
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stoppable.cancelled() {
                break;
            }
            if let Err(e) = work(item, &stoppable) {
                stoppable.stop.store(true, Ordering::Relaxed);
                let mut first = lock(&failed);
                // Those that stopped because of another error have nothing to say.
                if first.as_ref().is_none_or(|known| matches!(known, RegistryError::Cancelled)) {
                    *first = Some(e);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, 16).min(items.len()) {
            // A thread that cannot be made leaves its work to the others.
            let _ = std::thread::Builder::new().name("transfer".into()).spawn_scoped(scope, run);
        }
        run();
    });
    if let Some(error) = failed.into_inner().unwrap_or_default() {
        return Err(error);
    }
    if progress.cancelled() { Err(RegistryError::Cancelled) } else { Ok(()) }
}

/// Passes progress on, and can be stopped from within.
struct Stoppable<'p> {
    inner: &'p dyn Progress,
    stop: AtomicBool,
}

impl Progress for Stoppable<'_> {
    fn blob(&self, digest: &Digest, state: BlobState) {
        self.inner.blob(digest, state);
    }
    fn note(&self, text: &str) {
        self.inner.note(text);
    }
    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.inner.cancelled()
    }
}
