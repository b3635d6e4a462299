//! An image archive that comes as a stream (`docker save`, a daemon): read once from front to back, nothing kept.
//!
//! The documents that say what is a layer come last in docker's archives, so every entry that looks like a tar is read as
//! a layer when it comes by. A thread reads each layer while the stream goes on.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde::Deserialize;
use serde_json::Value;
use stockade_image::{Descriptor, Digest, ImageConfig, LayerReader, Manifest};
use stockade_inventory::{Inventory, LayerCache, LayerInventory, Options, Unknown, expect_digest, scan_layer_verified};

use super::archive::{DockerEntry, blob, choose, join};
use super::list::merged;
use crate::failure::Failure;

/// Most bytes of all documents together; real images have some 100 kB.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// Most entries of the archive.
const MAX_ENTRIES: usize = 100_000;
/// Most layers; overlayfs mounts 500.
const MAX_LAYERS: usize = 1024;
/// Layers that are read at the same time, and what each may have waiting.
const WORKERS: usize = 4;
const CHUNK_BYTES: usize = 256 << 10;
const CHUNKS: usize = 8;

/// What the archive held.
pub struct Streamed {
    /// The configuration.
    pub config: ImageConfig,
    /// `sha256:…` of the configuration.
    pub id: String,
    /// The merged view of its layers.
    pub inventory: Inventory,
}

/// The read end of a channel of chunks.
struct Chunks {
    receiver: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            match self.receiver.recv() {
                Ok(chunk) => (self.chunk, self.at) = (chunk?, 0),
                Err(_) => return Ok(0),
            }
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let got = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.at += got;
        Ok(got)
    }
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

/// What was collected while the stream went by.
#[derive(Default)]
struct Seen {
    documents: BTreeMap<String, Vec<u8>>,
    document_bytes: u64,
    links: HashMap<String, String>,
    layers: HashMap<String, LayerInventory>,
}

/// Reads an archive to its end.
pub fn read(stream: impl Read, cache: &dyn LayerCache, options: &Options) -> Result<Streamed, Failure> {
    let seen =
        collect(stream, cache, options).map_err(|e| Failure::new(format!("the image archive cannot be read: {e}")))?;
    finish(seen, cache, options).map_err(|why| Failure::new(format!("the stream is no image archive: {why}")))
}

fn collect(stream: impl Read, cache: &dyn LayerCache, options: &Options) -> io::Result<Seen> {
    let mut seen = Seen::default();
    let mut archive = tar::Archive::new(stream);
    std::thread::scope(|scope| {
        let mut working: VecDeque<(String, std::thread::ScopedJoinHandle<'_, LayerInventory>)> = VecDeque::new();
        for (count, entry) in archive.entries()?.enumerate() {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            let kind = entry.header().entry_type();
            if count >= MAX_ENTRIES || seen.layers.len() + working.len() >= MAX_LAYERS {
                return Err(io::Error::other("it has more entries or layers than any image"));
            }
            if kind.is_symlink() || kind.is_hard_link() {
                seen.links.insert(name.clone(), link_target(&name, &entry, kind.is_hard_link()));
            }
            if !kind.is_file() {
                continue;
            }
            let mut head = Vec::new();
            entry.by_ref().take(512).read_to_end(&mut head)?;
            if matches!(head.first(), Some(b'{' | b'[')) {
                seen.document(name, head, entry)?;
                continue;
            }
            if !looks_like_layer(&head) {
                continue;
            }
            if let Some(known) = known(&name, cache, options) {
                seen.layers.insert(name, known);
                continue;
            }
            let (sender, receiver) = sync_channel(CHUNKS);
            let chunks = Chunks { receiver, chunk: Vec::new(), at: 0 };
            let options = options.clone();
            working.push_back((name, scope.spawn(move || read_layer(chunks, &options))));
            feed(&sender, head, entry)?;
            drop(sender);
            if working.len() >= WORKERS
                && let Some((name, handle)) = working.pop_front()
            {
                seen.layers.insert(name, joined(handle)?);
            }
        }
        for (name, handle) in working {
            seen.layers.insert(name, joined(handle)?);
        }
        Ok(())
    })?;
    Ok(seen)
}

fn joined(handle: std::thread::ScopedJoinHandle<'_, LayerInventory>) -> io::Result<LayerInventory> {
    handle.join().map_err(|_| io::Error::other("a layer could not be read"))
}

fn link_target<R: Read>(name: &str, entry: &tar::Entry<'_, R>, hard: bool) -> String {
    let target = entry.link_name_bytes().map(|t| String::from_utf8_lossy(&t).into_owned()).unwrap_or_default();
    // A hard link names its target from the archive's root.
    if hard { target.trim_start_matches("./").to_owned() } else { join(name, &target) }
}

/// Sends an entry's bytes to the thread that reads it. That thread may have seen enough: the rest is passed over.
fn feed(sender: &SyncSender<io::Result<Vec<u8>>>, head: Vec<u8>, mut rest: impl Read) -> io::Result<()> {
    let mut chunk = head;
    loop {
        let room = CHUNK_BYTES.saturating_sub(chunk.len());
        if let Err(e) = rest.by_ref().take(room as u64).read_to_end(&mut chunk) {
            // The layer's reader must not take a cut stream for a whole one.
            let _ = sender.send(Err(io::Error::new(e.kind(), e.to_string())));
            return Err(e);
        }
        if chunk.is_empty() {
            return Ok(());
        }
        if sender.send(Ok(std::mem::take(&mut chunk))).is_err() {
            return io::copy(&mut rest, &mut io::sink()).map(drop);
        }
    }
}

fn read_layer(chunks: Chunks, options: &Options) -> LayerInventory {
    match LayerReader::new(chunks) {
        Ok(reader) => scan_layer_verified(reader, None, options),
        Err(e) => scan_layer_verified(Broken(e.to_string()), None, options),
    }
}

/// A stream that cannot be opened.
struct Broken(String);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(self.0.clone()))
    }
}

/// A tar, plain or compressed. An empty layer is 1024 zeros.
fn looks_like_layer(head: &[u8]) -> bool {
    const PACKED: [&[u8]; 4] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X', b'Z'], b"BZh"];
    PACKED.iter().any(|magic| head.starts_with(magic))
        || head.get(257..262) == Some(b"ustar")
        || head.len() == 512 && head.iter().all(|b| *b == 0)
}

/// A layer that an earlier scan has read. Docker writes layers uncompressed: the blob's digest is the diff id.
fn known(name: &str, cache: &dyn LayerCache, options: &Options) -> Option<LayerInventory> {
    let hex = name.strip_prefix("blobs/sha256/")?;
    let diff_id = format!("sha256:{hex}");
    cache.get(&diff_id).filter(|layer| layer.diff_id == diff_id && layer.serves(options))
}

impl Seen {
    fn document(&mut self, name: String, head: Vec<u8>, rest: impl Read) -> io::Result<()> {
        let mut bytes = head;
        rest.take(MAX_DOCUMENT_BYTES - self.document_bytes).read_to_end(&mut bytes)?;
        self.document_bytes += bytes.len() as u64;
        if self.document_bytes >= MAX_DOCUMENT_BYTES {
            return Err(io::Error::other("its documents are larger than 64 MiB together"));
        }
        self.documents.insert(name, bytes);
        Ok(())
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let bytes = self.documents.get(name).ok_or_else(|| format!("it has no `{name}`"))?;
        serde_json::from_slice(bytes).map_err(|e| format!("`{name}`: {e}"))
    }

    /// The layer of a name, which may be a link to another one's.
    fn layer(&self, name: &str) -> Result<LayerInventory, String> {
        let mut at = name;
        for _ in 0..8 {
            if let Some(layer) = self.layers.get(at) {
                return Ok(layer.clone());
            }
            match self.links.get(at) {
                Some(target) => at = target,
                None => break,
            }
        }
        Err(format!("it has no layer `{name}`"))
    }

    /// Names of the configuration and the layers, and how many images there are.
    fn image(&self) -> Result<(String, Vec<String>, usize), String> {
        if self.documents.contains_key("manifest.json") {
            let entries: Vec<DockerEntry> = self.parse("manifest.json")?;
            let count = entries.len();
            let first = entries.into_iter().next().ok_or("manifest.json names no image")?;
            return Ok((first.config, first.layers.unwrap_or_default(), count));
        }
        let mut index: Index = self.parse("index.json")?;
        let count = index.manifests.len();
        for _ in 0..4 {
            let chosen = choose(&index.manifests).ok_or("its index names no image")?;
            let value: Value = self.parse(&blob(&chosen.digest.to_string()))?;
            if value.get("manifests").is_some() {
                index = serde_json::from_value(value).map_err(|e| e.to_string())?;
                continue;
            }
            let manifest: Manifest = serde_json::from_value(value).map_err(|e| e.to_string())?;
            let layers = manifest.layers.iter().map(|l| blob(&l.digest.to_string())).collect();
            return Ok((blob(&manifest.config.digest.to_string()), layers, count));
        }
        Err("its indexes are nested too deeply".to_owned())
    }
}

fn finish(seen: Seen, cache: &dyn LayerCache, options: &Options) -> Result<Streamed, String> {
    let (config_name, names, count) = seen.image()?;
    let config: ImageConfig = seen.parse(&config_name)?;
    let id = seen.documents.get(&config_name).map(|bytes| Digest::of(bytes).to_string()).unwrap_or_default();
    if names.len() != config.rootfs.diff_ids.len() {
        let (a, b) = (names.len(), config.rootfs.diff_ids.len());
        return Err(format!("its manifest names {a} layers, its configuration {b}"));
    }
    let mut layers = Vec::with_capacity(names.len());
    for (name, diff_id) in names.iter().zip(&config.rootfs.diff_ids) {
        let layer = expect_digest(seen.layer(name)?, &diff_id.to_string());
        if layer.is_whole() {
            cache.put(&layer);
        }
        layers.push(layer);
    }
    let mut inventory = merged(&layers, &config, options);
    if count > 1 {
        let why = format!("the archive holds {count} images: only the first one was scanned");
        inventory.unknown.push(Unknown::new("archive", "", why));
    }
    Ok(Streamed { config, id, inventory })
}
