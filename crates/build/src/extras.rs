//! What builds keep on disk besides layers: cache mounts, downloaded packages, digests of files.

use std::fs;
use std::path::{Path, PathBuf};

use stockade_durable::Lock;

use crate::error::BuildError;

/// One kind of kept files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// `cache mounts`, `package archives`, `file digests`, `Git checkouts`.
    pub kind: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Bytes on disk.
    pub bytes: u64,
}

const KINDS: [(&str, &str); 4] =
    [("cache mounts", "mounts"), ("package archives", "archive"), ("file digests", "stat"), ("Git checkouts", "git")];

/// What is kept below the store's root directory.
pub fn extras(root: &Path) -> Vec<Extra> {
    KINDS
        .iter()
        .map(|(kind, name)| {
            let path = root.join("build").join(name);
            let bytes = usage(&path);
            Extra { kind, path, bytes }
        })
        .collect()
}

/// Removes what no running build uses. Returns the bytes that became free.
pub fn remove_extras(root: &Path) -> Result<u64, BuildError> {
    let mut freed = 0;
    for extra in extras(root) {
        if extra.kind == "cache mounts" {
            freed += remove_mounts(&extra.path)?;
        } else if extra.kind == "Git checkouts" {
            freed += remove_locked(&extra.path)?;
        } else if extra.path.exists() {
            fs::remove_dir_all(&extra.path).map_err(BuildError::io("remove", &extra.path))?;
            freed += extra.bytes;
        }
    }
    Ok(freed)
}

/// Every cache mount has numbered directories, each with a lock that a running step holds.
fn remove_mounts(path: &Path) -> Result<u64, BuildError> {
    let mut freed = 0;
    let Ok(caches) = fs::read_dir(path) else { return Ok(0) };
    for cache in caches.flatten() {
        freed += remove_locked(&cache.path())?;
    }
    Ok(freed)
}

/// Removes the directories in `path` whose lock (`NAME.lock` beside them) nobody holds.
fn remove_locked(path: &Path) -> Result<u64, BuildError> {
    let mut freed = 0;
    let Ok(entries) = fs::read_dir(path) else { return Ok(0) };
    for entry in entries.flatten().filter(|e| e.path().is_dir()) {
        let lock = path.join(format!("{}.lock", entry.file_name().to_string_lossy()));
        let Some(_held) = Lock::try_exclusive(&lock)? else { continue };
        let bytes = usage(&entry.path());
        fs::remove_dir_all(entry.path()).map_err(BuildError::io("remove", &entry.path()))?;
        freed += bytes;
    }
    Ok(freed)
}

/// Bytes that a directory takes on disk.
fn usage(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0;
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        total += metadata.blocks() * 512;
        if metadata.is_dir()
            && let Ok(entries) = fs::read_dir(&path)
        {
            pending.extend(entries.flatten().map(|e| e.path()));
        }
    }
    total
}
