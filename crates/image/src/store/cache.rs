//! A place for the builder's cache: small values by key, which keep layers alive while they exist.
//!
//! One file an entry under `cache/`, named by the digest of its key: a line of JSON with the key, the pins and the
//! digest of the value, then the value. Entries are not synced; one that a crash cut does not match its digest and is
//! no entry.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Store;
use super::collect::Pruned;
use super::locks::Shared;
use crate::digest::Digest;
use crate::error::{ImageError, Result};

/// One entry of the build cache, for `builder du`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The key.
    pub key: String,
    /// Bytes on disk of the entry itself and of pinned layers that no image has.
    pub bytes: u64,
    /// Seconds since 1970 of the last use.
    pub last_used: i64,
    /// Pinned layers and blobs.
    pub pins: Vec<Digest>,
    /// Whether an image uses all of its layers too, so that pruning the entry frees next to nothing.
    pub in_use: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    key: String,
    #[serde(default)]
    pins: Vec<Digest>,
    value: Digest,
}

impl Store {
    /// The value of a cache entry. It counts as a use.
    pub fn cache_get(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.cache_path(key);
        let (head, value) = read_entry(&path)?;
        if head.key != key {
            return None;
        }
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        // The order of uses is a hint for pruning, nothing more.
        let _ = rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty());
        Some(value)
    }

    /// Sets a cache entry that keeps nothing alive. What it kept before is let go.
    pub fn cache_put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.cache_put_pinned(key, bytes, &[])
    }

    /// Sets a cache entry; `pins` (diff ids of layers, digests of blobs) stay in the store while the entry does.
    pub fn cache_put_pinned(&self, key: &str, bytes: &[u8], pins: &[Digest]) -> Result<()> {
        let head = Head { key: key.to_owned(), pins: pins.to_vec(), value: Digest::of(bytes) };
        let mut content = serde_json::to_vec(&head).map_err(|e| ImageError::malformed("cache entry", e))?;
        content.push(b'\n');
        content.extend_from_slice(bytes);
        let _gc = Shared::take(self.root())?;
        Ok(stockade_durable::write_volatile(&self.cache_path(key), &content, 0o600)?)
    }

    /// Replaces the pins of an existing entry; without one nothing happens.
    pub fn cache_pin(&self, key: &str, pins: &[Digest]) -> Result<()> {
        match self.cache_get(key) {
            Some(value) => self.cache_put_pinned(key, &value, pins),
            None => Ok(()),
        }
    }

    /// All entries, least recently used first.
    pub fn cache_entries(&self) -> Result<Vec<CacheEntry>> {
        let mut of_images = HashSet::new();
        for entry in self.read_index()?.distinct() {
            of_images.extend(self.content_of(entry));
        }
        let mut entries: Vec<CacheEntry> = Vec::new();
        for path in self.cache_files()? {
            let Some(head) = read_head(&path) else { continue };
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let own: Vec<&Digest> = head.pins.iter().filter(|pin| !of_images.contains(pin)).collect();
            let bytes = metadata.len() + own.iter().map(|pin| self.content_bytes(pin)).sum::<u64>();
            entries.push(CacheEntry {
                bytes,
                last_used: seconds(metadata.modified().ok()),
                in_use: own.is_empty() && !head.pins.is_empty(),
                key: head.key,
                pins: head.pins,
            });
        }
        entries.sort_by(|a, b| a.last_used.cmp(&b.last_used).then_with(|| a.key.cmp(&b.key)));
        Ok(entries)
    }

    /// Removes cache entries, then the layers that only they kept. `all` removes every entry; otherwise the least
    /// recently used go until what remains takes at most `keep_bytes` (layers that images have do not count).
    pub fn cache_prune(&self, all: bool, keep_bytes: u64) -> Result<Pruned> {
        let entries = self.cache_entries()?;
        let mut pruned = Pruned::default();
        let mut kept = 0u64;
        let mut counted = HashSet::new();
        // Newest first; a layer that several entries pin counts once.
        for entry in entries.iter().rev() {
            let fresh = entry.pins.iter().filter(|pin| counted.insert(**pin)).count();
            let cost = if fresh == 0 { 0 } else { entry.bytes };
            kept = kept.saturating_add(cost);
            if all || kept > keep_bytes {
                let path = self.cache_path(&entry.key);
                pruned.bytes += fs::metadata(&path).map_or(0, |m| m.len());
                let _ = fs::remove_file(&path);
            }
        }
        self.collect(&mut pruned)?;
        Ok(pruned)
    }

    /// Everything that cache entries keep.
    pub(super) fn cache_pins(&self) -> Result<HashSet<Digest>> {
        Ok(self.cache_files()?.iter().filter_map(|path| read_head(path)).flat_map(|head| head.pins).collect())
    }

    fn content_bytes(&self, digest: &Digest) -> u64 {
        let meta = self.meta(digest).ok().flatten();
        meta.map_or_else(
            || self.stored_blob_size(digest).unwrap_or(0),
            |m| m.bytes + self.stored_blob_size(&m.blob.digest).unwrap_or(0),
        )
    }

    pub(super) fn cache_files(&self) -> Result<Vec<PathBuf>> {
        let dir = self.root().join("cache");
        let entries = fs::read_dir(&dir).map_err(ImageError::on("read", &dir))?;
        let names = entries.flatten().filter(|e| e.file_name().len() == 64);
        Ok(names.map(|e| e.path()).collect())
    }

    fn cache_path(&self, key: &str) -> PathBuf {
        self.root().join("cache").join(Digest::of(key.as_bytes()).hex())
    }
}

fn read_head(path: &Path) -> Option<Head> {
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?).read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice(&line).ok()
}

/// Whether an entry's value has the digest that its head names.
pub(super) fn is_whole(path: &Path) -> bool {
    read_entry(path).is_some()
}

fn read_entry(path: &Path) -> Option<(Head, Vec<u8>)> {
    let mut content = Vec::new();
    File::open(path).ok()?.read_to_end(&mut content).ok()?;
    let newline = content.iter().position(|b| *b == b'\n')?;
    let head: Head = serde_json::from_slice(content.get(..newline)?).ok()?;
    let value = content.split_off(newline + 1);
    (Digest::of(&value) == head.value).then_some((head, value))
}

fn seconds(time: Option<SystemTime>) -> i64 {
    let since = time.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|d| i64::try_from(d.as_secs()).ok()).unwrap_or(0)
}
