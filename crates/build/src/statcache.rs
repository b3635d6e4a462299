//! Digests of files that were hashed before, by what `stat` says of them: an unchanged context is not read again.
//!
//! A file counts as unchanged when device, inode, size, modification and change time are the same. The change time
//! cannot be set by programs, so this is not fooled by `touch -d`. A file that changed in the same moment as it was
//! hashed could change once more without a new time: such a fresh one is not remembered.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

use crate::walk::lock;

/// First bytes of the file: its format and version.
const MAGIC: &[u8; 8] = b"stkstat2";
/// Bytes of one record: dev, ino, size, mtime (s, ns), ctime (s, ns), digest, whether there are attributes.
const RECORD: usize = NUMBERS + 32 + 1;
const NUMBERS: usize = 7 * 8;
/// Age that a change must have before it is trusted. Several ticks of the kernel's coarse clock.
const SETTLED_NS: i128 = 50_000_000;
/// Records beyond this are not written: 90 MiB, a million files.
const MAX_RECORDS: usize = 1 << 20;

type Identity = [u64; 7];

/// What is remembered of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// SHA-256 of the content.
    pub(crate) digest: [u8; 32],
    /// It has extended attributes that come along in a copy.
    pub(crate) has_attributes: bool,
}

/// The cache of one context.
#[derive(Debug)]
pub(crate) struct StatCache {
    path: Option<PathBuf>,
    /// What the cache file has, and whether it was seen in this build: files that are gone fall out.
    known: HashMap<Identity, (Known, AtomicBool)>,
    /// Hashed in this build.
    fresh: Mutex<Vec<(Identity, Known)>>,
}

impl StatCache {
    /// Remembers nothing.
    pub(crate) fn none() -> StatCache {
        StatCache { path: None, known: HashMap::new(), fresh: Mutex::default() }
    }

    /// Reads the cache file; one that is damaged or missing is an empty cache.
    pub(crate) fn load(path: &Path) -> StatCache {
        let bytes = std::fs::read(path).unwrap_or_default();
        let known = parse(&bytes).unwrap_or_default();
        StatCache { path: Some(path.to_owned()), known, ..StatCache::none() }
    }

    pub(crate) fn get(&self, stat: &Stat) -> Option<Known> {
        self.path.as_ref()?;
        let (known, seen) = self.known.get(&identity(stat))?;
        seen.store(true, Ordering::Relaxed);
        Some(*known)
    }

    pub(crate) fn put(&self, stat: &Stat, known: Known) {
        if self.path.is_none() || !settled(stat) {
            return;
        }
        lock(&self.fresh).push((identity(stat), known));
    }

    /// Writes what was seen. Losing it costs time only, so errors are not reported.
    pub(crate) fn save(&self) {
        let fresh = lock(&self.fresh);
        let Some(path) = self.path.as_ref().filter(|_| !fresh.is_empty()) else { return };
        let seen = self.known.iter().filter(|(_, (_, seen))| seen.load(Ordering::Relaxed));
        let all = fresh.iter().map(|(identity, known)| (identity, known)).chain(seen.map(|(i, (known, _))| (i, known)));
        let mut bytes = MAGIC.to_vec();
        for (identity, known) in all.take(MAX_RECORDS) {
            identity.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
            bytes.extend_from_slice(&known.digest);
            bytes.push(u8::from(known.has_attributes));
        }
        if let Some(dir) = path.parent()
            && stockade_durable::create_private_dir(dir).is_ok()
        {
            let _ = stockade_durable::write_volatile(path, &bytes, 0o600);
        }
    }
}

fn parse(bytes: &[u8]) -> Option<HashMap<Identity, (Known, AtomicBool)>> {
    let records = bytes.strip_prefix(MAGIC)?;
    let mut out = HashMap::with_capacity(records.len() / RECORD);
    for record in records.chunks_exact(RECORD) {
        let (numbers, rest) = record.split_at(NUMBERS);
        let (digest, flag) = rest.split_at(32);
        let mut identity: Identity = [0; 7];
        for (slot, chunk) in identity.iter_mut().zip(numbers.chunks_exact(8)) {
            *slot = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        let known = Known { digest: digest.try_into().ok()?, has_attributes: flag != [0] };
        out.insert(identity, (known, AtomicBool::new(false)));
    }
    Some(out)
}

#[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)] // identities are compared, never computed with
fn identity(stat: &Stat) -> Identity {
    [
        stat.st_dev as u64,
        stat.st_ino as u64,
        stat.st_size as u64,
        stat.st_mtime as u64,
        stat.st_mtime_nsec as u64,
        stat.st_ctime as u64,
        stat.st_ctime_nsec as u64,
    ]
}

fn settled(stat: &Stat) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    #[allow(clippy::unnecessary_cast)]
    let changed = i128::from(stat.st_ctime as i64) * 1_000_000_000 + i128::from(stat.st_ctime_nsec as i64);
    i128::try_from(now).is_ok_and(|now| now - changed > SETTLED_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_again_until_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let cache_path = dir.path().join("cache/c.bin");
        std::fs::write(&file, "one").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(80));
        let stat = rustix::fs::lstat(&file).unwrap();
        let cache = StatCache::load(&cache_path);
        assert_eq!(cache.get(&stat), None);
        let known = Known { digest: [7; 32], has_attributes: true };
        cache.put(&stat, known);
        cache.save();
        let cache = StatCache::load(&cache_path);
        assert_eq!(cache.get(&stat), Some(known));
        std::fs::write(&file, "two").unwrap();
        assert_eq!(cache.get(&rustix::fs::lstat(&file).unwrap()), None);
    }

    #[test]
    fn a_fresh_file_is_not_remembered_and_damage_is_an_empty_cache() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "one").unwrap();
        let cache = StatCache::load(&dir.path().join("c"));
        cache.put(&rustix::fs::lstat(&file).unwrap(), Known { digest: [7; 32], has_attributes: false });
        assert!(lock(&cache.fresh).is_empty());
        assert!(parse(b"garbage").is_none());
        assert_eq!(parse(b"stkstat2short").unwrap().len(), 0);
    }
}
