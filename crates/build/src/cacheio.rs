//! The cache outside the store: `--cache-from` and `--cache-to`.
//!
//! A cache that travels is an image manifest whose layers are the results of steps. Its annotation [`RECORDS`] says
//! which step each layer is the result of. So any registry keeps it, and an ordinary image whose manifest has the
//! annotation (`type=inline`) is a cache, too. Layers are fetched one by one, when a step asks for them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stockade_config::ProcessEnvironment;
use stockade_image::config::{RootFs, media};
use stockade_image::{Descriptor, Digest, ImageConfig, Layer, Manifest, Reference};
use stockade_registry::{Client, Document, Fetched, Options, Progress};

use crate::builder::Build;
use crate::cache::Record;
use crate::error::BuildError;
use crate::events::StepId;
use crate::request::{CacheFrom, CacheMode, CacheTo};
use crate::scope::machine;
use crate::state::State;
use crate::walk::lock;

/// Annotation of a manifest: a list of [`Line`]s as JSON.
pub(crate) const RECORDS: &str = "dev.stockade.cache.v1";
/// Longest document that is read, in bytes.
const MAX_DOCUMENT: u64 = 16 << 20;

/// Key of a step, number of its layer in the manifest, time at which it was made, the instruction.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line(String, usize, String, String);

/// A cache to take from.
pub(crate) struct Source {
    shown: String,
    from: From,
    records: HashMap<String, Record>,
}

enum From {
    Layout(PathBuf),
    Registry(Box<Client>, Reference),
}

/// A result that this build made or used.
#[derive(Clone)]
pub(crate) struct Used {
    key: String,
    record: Record,
}

/// Reads the lists of all caches. One that cannot be read is warned about: a build works without.
pub(crate) fn open(
    settings: &stockade_config::Settings,
    from: &[CacheFrom],
    warn: &dyn Fn(&str),
    progress: &dyn Progress,
) -> Vec<Source> {
    let mut out = Vec::new();
    for one in from {
        let (shown, read) = match one {
            CacheFrom::Local(dir) => (dir.display().to_string(), from_layout(dir)),
            CacheFrom::Registry(reference) => {
                let client = Client::new(Options::new(settings, &ProcessEnvironment));
                (reference.to_string(), from_registry(client, reference, progress))
            }
        };
        match read {
            Ok((from, records)) => out.push(Source { shown, from, records }),
            Err(why) => warn(&format!("warning: the cache `{shown}` is not used: {why}")),
        }
    }
    out
}

type Opened = Result<(From, HashMap<String, Record>), String>;

fn from_layout(dir: &Path) -> Opened {
    let bytes = read_file(&dir.join("index.json"))?;
    let index: stockade_registry::ImageIndex =
        serde_json::from_slice(&bytes).map_err(|e| format!("index.json: {e}"))?;
    let entry = index.manifests.last().ok_or("its index names nothing")?;
    let manifest = verified(dir, &entry.digest)?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|e| format!("its manifest: {e}"))?;
    let config = verified(dir, &manifest.config.digest)?;
    Ok((From::Layout(dir.to_owned()), records(&manifest, &config)?))
}

fn from_registry(client: Client, reference: &Reference, progress: &dyn Progress) -> Opened {
    let said = |e: stockade_registry::RegistryError| e.to_string();
    let mut fetched: Fetched = client.manifest(reference, progress).map_err(said)?;
    if let Document::Index(index) = &fetched.document {
        let (arch, _) = machine();
        let ours = index.manifests.iter().find(|m| m.platform.as_ref().is_some_and(|p| p.architecture == arch));
        let digest = ours.ok_or_else(|| format!("it has nothing for {arch}"))?.digest;
        let mut exact = reference.clone();
        (exact.tag, exact.digest) = (None, Some(digest));
        fetched = client.manifest(&exact, progress).map_err(said)?;
    }
    let Document::Image(manifest) = fetched.document else { return Err("its indexes are nested".to_owned()) };
    let (digest, size) = (&manifest.config.digest, manifest.config.size);
    let config = client.small_blob(reference, digest, size, MAX_DOCUMENT, progress).map_err(said)?;
    let records = records(&manifest, &config)?;
    Ok((From::Registry(Box::new(client), reference.clone()), records))
}

fn records(manifest: &Manifest, config: &[u8]) -> Result<HashMap<String, Record>, String> {
    let Some(text) = manifest.annotations.get(RECORDS) else {
        return Err(
            "it has no list of steps; write one with `--cache-to type=inline`, `type=registry` or `type=local`"
                .to_owned(),
        );
    };
    let lines: Vec<Line> = serde_json::from_str(text).map_err(|e| format!("its list of steps: {e}"))?;
    let config: ImageConfig = serde_json::from_slice(config).map_err(|e| format!("its configuration: {e}"))?;
    let diff_ids = config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err("its manifest and its configuration tell different numbers of layers".to_owned());
    }
    let layers: Vec<Layer> = std::iter::zip(diff_ids, &manifest.layers)
        .map(|(diff_id, descriptor)| Layer { diff_id, descriptor: descriptor.clone() })
        .collect();
    let found = lines.into_iter().filter_map(|Line(key, at, created, step)| {
        Some((key, Record { layer: layers.get(at)?.clone(), created, step }))
    });
    Ok(found.collect())
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let is_small = fs::metadata(path).map_err(|e| format!("`{}`: {e}", path.display()))?.len() <= MAX_DOCUMENT;
    if !is_small {
        return Err(format!("`{}` is too long", path.display()));
    }
    fs::read(path).map_err(|e| format!("`{}`: {e}", path.display()))
}

fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs/sha256").join(digest.hex())
}

fn verified(dir: &Path, digest: &Digest) -> Result<Vec<u8>, String> {
    let bytes = read_file(&blob_path(dir, digest))?;
    if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(format!("the blob {digest} is damaged")) }
}

impl Build<'_> {
    /// The result of a step from one of the caches that were named. What is damaged or gone is warned about.
    pub(crate) fn imported(&self, key: &str, step: StepId) -> Result<Option<Record>, BuildError> {
        for source in &self.sources {
            let Some(record) = source.records.get(key) else { continue };
            self.events.status(step, &format!("importing the result from {}", source.shown));
            match self.fetch_layer(source, &record.layer, step) {
                Ok(layer) => return Ok(Some(Record { layer, ..record.clone() })),
                Err(_) if self.cancel.is_thrown() => return Err(BuildError::Cancelled),
                Err(why) => {
                    self.events
                        .warning(&format!("warning: a layer of the cache `{}` is not used: {why}", source.shown));
                }
            }
        }
        Ok(None)
    }

    fn fetch_layer(&self, source: &Source, layer: &Layer, step: StepId) -> Result<Layer, String> {
        if let Ok(Some(known)) = self.store.layer(&layer.diff_id) {
            return Ok(known);
        }
        match &source.from {
            From::Layout(dir) => {
                let path = blob_path(dir, &layer.descriptor.digest);
                let file = File::open(&path).map_err(|e| format!("`{}`: {e}", path.display()))?;
                self.store.layer_from_blob(file, &layer.descriptor, &layer.diff_id).map_err(|e| e.to_string())
            }
            From::Registry(client, reference) => {
                let shown = crate::registry::Shown::new(self, step);
                let fetched = client.layer(self.store, reference, &layer.descriptor, &layer.diff_id, &shown);
                fetched.map_err(|e| e.to_string())
            }
        }
    }

    /// Notes a result for `--cache-to`.
    pub(crate) fn note_used(&self, key: &str, record: &Record) {
        if !self.request.cache_to.is_empty() {
            lock(&self.used).push(Used { key: key.to_owned(), record: record.clone() });
        }
    }

    /// The annotation for `type=inline`, if it was asked for: what the image's own layers are the results of.
    pub(crate) fn inline_records(&self, state: &State) -> Option<(String, String)> {
        self.request.cache_to.contains(&CacheTo::Inline).then(|| (RECORDS.to_owned(), self.lines(&state.layers)))
    }

    fn lines(&self, layers: &[Layer]) -> String {
        let used = lock(&self.used);
        let mut lines: Vec<Line> = Vec::new();
        for one in used.iter() {
            let at = layers.iter().position(|l| l.diff_id == one.record.layer.diff_id);
            if let Some(at) = at.filter(|_| !lines.iter().any(|l| l.0 == one.key)) {
                lines.push(Line(one.key.clone(), at, one.record.created.clone(), one.record.step.clone()));
            }
        }
        lines.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        serde_json::to_string(&lines).unwrap_or_default()
    }

    /// Writes every cache that was asked for.
    pub(crate) fn export_cache(&self, state: &State) -> Result<(), BuildError> {
        for to in &self.request.cache_to {
            let (mode, shown) = match to {
                CacheTo::Inline => continue,
                CacheTo::Local { dir, mode } => (*mode, dir.display().to_string()),
                CacheTo::Registry { reference, mode } => (*mode, reference.to_string()),
            };
            let step = self.next_step();
            self.events.started(step, &format!("exporting the cache to {shown}"));
            let result = self.export_one(to, mode, state, step);
            let finish = match &result {
                Ok(()) => crate::events::Finish::Done,
                Err(e) => crate::events::Finish::Failed(e.to_string()),
            };
            self.events.finished(step, &finish);
            result?;
        }
        Ok(())
    }

    fn export_one(&self, to: &CacheTo, mode: CacheMode, state: &State, step: StepId) -> Result<(), BuildError> {
        let layers = self.layers_of(mode, state);
        let (architecture, _) = machine();
        let config = ImageConfig {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: layers.iter().map(|l| l.diff_id).collect() },
            ..ImageConfig::default()
        };
        let config = json(&config)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: None,
            config: descriptor(media::CONFIG, &config),
            layers: layers.iter().map(|l| l.descriptor.clone()).collect(),
            subject: None,
            annotations: BTreeMap::from([(RECORDS.to_owned(), self.lines(&layers))]),
        };
        let bytes = json(&manifest)?;
        match to {
            CacheTo::Local { dir, .. } => self.write_layout(dir, &config, &manifest, &bytes),
            CacheTo::Registry { reference, .. } => {
                let staging = self.store.staging_dir()?;
                let file = staging.path().join("config");
                fs::write(&file, &config).map_err(BuildError::io("write", &file))?;
                let mut blobs = vec![(manifest.config.digest, manifest.config.size, file)];
                for layer in &manifest.layers {
                    blobs.push((layer.digest, layer.size, self.store.blob_file(&layer.digest)?));
                }
                let client = Client::new(Options::new(self.settings, &ProcessEnvironment));
                let shown = crate::registry::Shown::new(self, step);
                let pushed = client.push_files(reference, media::MANIFEST, bytes, blobs, &shown);
                pushed.map(drop).map_err(|e| BuildError::Usage(format!("cannot push the cache to `{reference}`: {e}")))
            }
            CacheTo::Inline => Ok(()),
        }
    }

    /// Results of steps, each layer once.
    fn layers_of(&self, mode: CacheMode, state: &State) -> Vec<Layer> {
        let mut out: Vec<Layer> = Vec::new();
        for one in lock(&self.used).iter() {
            let layer = &one.record.layer;
            let wanted = mode == CacheMode::Max || state.layers.iter().any(|l| l.diff_id == layer.diff_id);
            if wanted && !out.iter().any(|l| l.diff_id == layer.diff_id) {
                out.push(layer.clone());
            }
        }
        // Stages run side by side: the order of their steps is chance, and the manifest should not be.
        out.sort_by_key(|l| l.diff_id);
        out
    }

    fn write_layout(&self, dir: &Path, config: &[u8], manifest: &Manifest, bytes: &[u8]) -> Result<(), BuildError> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(BuildError::io("create directory", &blobs))?;
        for layer in &manifest.layers {
            self.cancel.check()?;
            let (from, to) = (self.store.blob_file(&layer.digest)?, blob_path(dir, &layer.digest));
            if fs::metadata(&to).is_ok_and(|m| m.len() == layer.size) {
                continue;
            }
            let fresh = blobs.join(stockade_durable::temporary_name());
            fs::copy(&from, &fresh).map_err(BuildError::io("write", &fresh))?;
            fs::rename(&fresh, &to).map_err(BuildError::io("create", &to))?;
        }
        stockade_durable::write(&blob_path(dir, &manifest.config.digest), config, 0o644)?;
        let entry = descriptor(media::MANIFEST, bytes);
        stockade_durable::write(&blob_path(dir, &entry.digest), bytes, 0o644)?;
        stockade_durable::write(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media::INDEX,
            "manifests": [{ "mediaType": entry.media_type, "digest": entry.digest, "size": entry.size }],
        });
        // Last: it makes the new cache the one that is read.
        stockade_durable::write(&dir.join("index.json"), &json(&index)?, 0o644)?;
        Ok(())
    }
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

fn json(value: &impl Serialize) -> Result<Vec<u8>, BuildError> {
    serde_json::to_vec(value).map_err(|e| BuildError::Usage(format!("the cache cannot be written: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_a_list_or_with_nonsense_is_no_cache() {
        let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let mut manifest = Manifest {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            config: descriptor(media::CONFIG, config),
            layers: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
        };
        assert!(records(&manifest, config).unwrap_err().contains("cache-to"));
        for (text, good) in [("nonsense", false), ("[]", true), (r#"[["key",7,"","RUN x"]]"#, true)] {
            manifest.annotations.insert(RECORDS.to_owned(), text.to_owned());
            let read = records(&manifest, config);
            assert_eq!(read.is_ok(), good, "{text}");
            assert!(read.unwrap_or_default().is_empty(), "a layer that is not there is no result");
        }
        manifest.layers.push(descriptor(media::LAYER_ZSTD, b"x"));
        assert!(records(&manifest, config).is_err());
    }
}
