//! What one process is doing with the store right now.
//!
//! A session is a file under `sessions/`, locked as long as its process lives, and a directory of the same name under
//! `tmp/` for everything unfinished. Digests written to the file are *pins*: content that the process has made or is
//! using but that no image refers to yet. Garbage collection reads the pins of every session whose lock is held; a
//! session whose lock can be taken belongs to a dead process and is swept.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::locks::Shared;
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::remove_tree;

/// A process's presence in the store. Ends when dropped, or with the process.
#[derive(Debug)]
pub(crate) struct Session {
    path: PathBuf,
    tmp: PathBuf,
    file: File,
    pinned: Mutex<HashSet<Digest>>,
    next: AtomicU64,
    /// A forked child owns a copy of this value but not the session.
    owner: u32,
}

impl Session {
    /// Begins a session in the store at `root`.
    pub fn begin(root: &Path) -> Result<Session> {
        loop {
            let name =
                stockade_durable::temporary_name().trim_start_matches(stockade_durable::TEMPORARY_PREFIX).to_owned();
            let path = root.join("sessions").join(&name);
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(ImageError::on("create", &path))?;
            flock(&file, FlockOperation::LockExclusive).map_err(ImageError::on("lock", &path))?;
            // A sweeper may have found the file before it was locked, and removed it.
            if file.metadata().map_err(ImageError::on("stat", &path))?.nlink() == 0 {
                continue;
            }
            let tmp = root.join("tmp").join(&name);
            fs::create_dir(&tmp).map_err(ImageError::on("create", &tmp))?;
            let owner = std::process::id();
            return Ok(Session { path, tmp, file, pinned: Mutex::default(), next: AtomicU64::new(0), owner });
        }
    }

    /// A path for something unfinished, not used before.
    pub fn fresh_path(&self) -> PathBuf {
        self.tmp.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Keeps content from being collected while the session lasts. Must happen before the content is published, or
    /// before its existence is checked, with the collector locked out.
    pub fn pin(&self, _gc: &Shared, digests: impl IntoIterator<Item = Digest>) -> Result<()> {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = String::new();
        for digest in digests {
            if pinned.insert(digest) {
                lines.push_str(&digest.hex());
                lines.push('\n');
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        (&self.file).write_all(lines.as_bytes()).map_err(ImageError::on("write", &self.path))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            // What cannot be removed now is swept when the store is opened next.
            let _ = remove_tree(&self.tmp);
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the file's lock can be had: then its process is dead.
fn is_dead(file: &File) -> bool {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Removes what dead processes left. Errors are ignored: another process may sweep at the same time.
pub(super) fn sweep(root: &Path) {
    let sessions = root.join("sessions");
    let tmp = root.join("tmp");
    for entry in fs::read_dir(&sessions).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        if is_dead(&file) {
            let _ = remove_tree(&tmp.join(entry.file_name()));
            let _ = fs::remove_file(&path);
        }
    }
    for entry in fs::read_dir(&tmp).into_iter().flatten().flatten() {
        if !sessions.join(entry.file_name()).exists() {
            let _ = remove_tree(&entry.path());
        }
    }
}

/// Everything that living sessions have pinned.
pub(super) fn pins(root: &Path) -> Result<HashSet<Digest>> {
    let sessions = root.join("sessions");
    let mut found = HashSet::new();
    for entry in fs::read_dir(&sessions).map_err(ImageError::on("read", &sessions))?.flatten() {
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        if is_dead(&file) {
            continue;
        }
        let text = std::io::read_to_string(&file).map_err(ImageError::on("read", &path))?;
        found.extend(text.lines().filter_map(|line| format!("sha256:{line}").parse::<Digest>().ok()));
    }
    Ok(found)
}

/// A private directory on the store's file system, removed when dropped or, at the latest, after the process died.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    // Keeps the sweeper away.
    _session: Arc<Session>,
}

impl Staging {
    pub(super) fn new(session: Arc<Session>) -> Result<Staging> {
        let path = session.fresh_path();
        fs::create_dir(&path).map_err(ImageError::on("create", &path))?;
        Ok(Staging { path, _session: session })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = remove_tree(&self.path);
    }
}

/// A file that is being written, removed when dropped before it is published.
#[derive(Debug)]
pub(crate) struct StagedFile {
    pub path: PathBuf,
    pub file: File,
    /// Where it was moved to. Several images of one archive may have the same file.
    published: OnceLock<PathBuf>,
    // Keeps the sweeper away.
    _session: Arc<Session>,
}

impl StagedFile {
    pub fn new(session: Arc<Session>) -> Result<StagedFile> {
        let path = session.fresh_path();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(ImageError::on("create", &path))?;
        Ok(StagedFile { path, file, published: OnceLock::new(), _session: session })
    }

    /// Reads the file from its beginning, with a position of its own.
    pub fn reader(&self) -> Result<File> {
        let path = self.published.get().unwrap_or(&self.path);
        File::open(path).map_err(ImageError::on("open", path))
    }

    /// Moves the file to its place, over whatever is there. A second time nothing happens.
    pub fn publish(&self, place: PathBuf) -> Result<()> {
        if self.published.get().is_none() {
            fs::rename(&self.path, &place).map_err(ImageError::on("write", &place))?;
            let _ = self.published.set(place);
        }
        Ok(())
    }

    /// A second handle for a thread that writes.
    pub fn handle(&self) -> Result<File> {
        self.file.try_clone().map_err(ImageError::on("open", &self.path))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
