//! Atomic, crash-safe writes and lock files.
//!
//! Every write that other processes may see goes through this room: a temporary file in the same
//! directory, `fsync`, `rename(2)`, then `fsync` of the directory. A reader therefore sees the old
//! content or the new one, never a mix, even after `kill -9` or a power cut.
#![forbid(unsafe_code)]

mod ids;

pub use ids::{owned, owned_io, single_id, trusted_attributes};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// Prefix of every temporary file and directory that Stockade makes: a crash leaves at most files of this name,
/// and [`sweep`] removes them.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

/// What can go wrong here. Each variant names the path.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was being done, as a verb phrase ("write", "lock").
        what: &'static str,
        /// The path that it was done to.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Another process held the lock for longer than the caller would wait.
    #[error("`{path}` is locked by another stockade process, and still was after {waited_ms} ms")]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long this process waited, in milliseconds.
        waited_ms: u128,
    },
}

fn io_error<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> DurableError + 'p {
    move |source| DurableError::Io { what, path: path.to_owned(), source }
}

/// A name that no other process chooses at the same time: the prefix and 64 random bits in hex.
pub fn temporary_name() -> String {
    let mut bytes = [0u8; 8];
    // The kernel's own call: a static program would look for the C library's by name, and read a device instead.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) != Ok(bytes.len()) {
        // Without a random source the process id and the clock still keep two processes apart.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        bytes[..4].copy_from_slice(&std::process::id().to_le_bytes());
        bytes[4..].copy_from_slice(&nanos.to_le_bytes());
    }
    format!("{TEMPORARY_PREFIX}{:016x}", u64::from_le_bytes(bytes))
}

/// Makes `path` and its missing parents with mode 0700: what Stockade stores is for its user alone.
pub fn create_private_dir(path: &Path) -> Result<(), DurableError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("create directory", path))
}

/// Flushes a directory's entries to disk, so that a rename into it survives a power cut.
pub fn sync_dir(dir: &Path) -> Result<(), DurableError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io_error("sync directory", dir))
}

/// Replaces `path` by `bytes` atomically, with `mode` (for example `0o600`). The parent must exist.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    write_inner(path, bytes, mode, true)
}

/// Like [`write()`], but without `fsync`: for volatile state on a tmpfs, which no power cut outlives anyway.
pub fn write_volatile(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    write_inner(path, bytes, mode, false)
}

fn write_inner(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> Result<(), DurableError> {
    // A bare file name has the empty path as its parent, which cannot be opened.
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = dir.join(temporary_name());
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)?;
        if durable { File::open(dir)?.sync_all() } else { Ok(()) }
    })();
    result.map_err(|e| {
        // The first error matters; the temporary file is swept later if this fails too.
        let _ = fs::remove_file(&temporary);
        io_error("write", path)(e)
    })
}

/// Removes what crashed writers left in `dir`: entries with [`TEMPORARY_PREFIX`] not changed for `older_than`.
/// Errors on single entries are ignored: another process may sweep at the same time.
pub fn sweep(dir: &Path, older_than: Duration) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            continue;
        }
        let old =
            entry.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|age| age >= older_than));
        if old {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// A held `flock(2)` on a file. Released when dropped or when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock alone, waiting as long as it takes.
    pub fn exclusive(path: &Path) -> Result<Lock, DurableError> {
        Self::take(path, FlockOperation::LockExclusive)
    }

    /// Takes the lock together with other readers, waiting as long as it takes.
    pub fn shared(path: &Path) -> Result<Lock, DurableError> {
        Self::take(path, FlockOperation::LockShared)
    }

    /// Takes the lock alone if nobody has it now; `None` if somebody has.
    pub fn try_exclusive(path: &Path) -> Result<Option<Lock>, DurableError> {
        Self::try_take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the lock together with other readers if nobody has it alone; `None` if somebody has.
    pub fn try_shared(path: &Path) -> Result<Option<Lock>, DurableError> {
        Self::try_take(path, FlockOperation::NonBlockingLockShared)
    }

    /// Takes the lock alone, or fails with [`DurableError::Busy`] after `patience`.
    pub fn exclusive_within(path: &Path, patience: Duration) -> Result<Lock, DurableError> {
        let start = Instant::now();
        loop {
            if let Some(lock) = Self::try_exclusive(path)? {
                return Ok(lock);
            }
            if start.elapsed() >= patience {
                return Err(DurableError::Busy { path: path.to_owned(), waited_ms: start.elapsed().as_millis() });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The locked file, for a holder who keeps data in it.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn open(path: &Path) -> Result<File, DurableError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io_error("open lock file", path))
    }

    fn take(path: &Path, operation: FlockOperation) -> Result<Lock, DurableError> {
        let file = Self::open(path)?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Lock { file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(io_error("lock", path)(e.into())),
            }
        }
    }

    fn try_take(path: &Path, operation: FlockOperation) -> Result<Option<Lock>, DurableError> {
        let file = Self::open(path)?;
        match flock(&file, operation) {
            Ok(()) => Ok(Some(Lock { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(io_error("lock", path)(e.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_replaces_whole_content_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write(&path, b"a long first version", 0o600).unwrap();
        write(&path, b"short", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bare_file_name_is_written_to_the_working_directory() {
        let name = temporary_name();
        write(Path::new(&name), b"x", 0o600).unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"x");
        fs::remove_file(&name).unwrap();
    }

    #[test]
    fn a_failed_write_keeps_the_old_content_and_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("occupied");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("x"), b"").unwrap();
        let error = write(&path, b"new", 0o600).unwrap_err();
        assert!(error.to_string().contains("occupied"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "temporary file left");
    }

    #[test]
    fn an_exclusive_lock_keeps_others_out_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::exclusive(&path).unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        assert!(matches!(Lock::exclusive_within(&path, Duration::from_millis(5)), Err(DurableError::Busy { .. })));
        drop(held);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn sweep_removes_old_temporaries_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(temporary_name()), b"").unwrap();
        fs::create_dir(dir.path().join(temporary_name())).unwrap();
        fs::write(dir.path().join("kept"), b"").unwrap();
        sweep(dir.path(), Duration::from_secs(3600));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        sweep(dir.path(), Duration::ZERO);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
