//! Everything below a path, with the digest of each file's content.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};
use stockade_dockerfile::ignore::{DirState, IgnoreFile};

use crate::attributes::{self, Attributes, Which};
use crate::cache::Key;
use crate::error::BuildError;
use crate::merged::{Node, Tree};
use crate::statcache::{Known, StatCache};

/// One file, directory or link below the start of a walk.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Relative to the start; empty for the start itself.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: FileType,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, i64),
    /// Device number of a device.
    pub(crate) rdev: u64,
    /// The file on this machine.
    pub(crate) real: PathBuf,
    pub(crate) link: Option<Vec<u8>>,
    /// SHA-256 of the content.
    pub(crate) digest: Option<[u8; 32]>,
    /// Extended attributes that come along; see [`look_into`].
    pub(crate) attributes: Attributes,
    stat: rustix::fs::Stat,
}

impl Entry {
    pub(crate) fn of(path: Vec<u8>, node: Node) -> Result<Entry, BuildError> {
        let link = if node.is_symlink() { Some(node.link_target()?) } else { None };
        let stat = node.stat;
        Ok(Entry {
            path,
            kind: node.kind(),
            mode: node.mode(),
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            #[allow(clippy::unnecessary_cast)] // the field's type differs between architectures
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            rdev: stat.st_rdev,
            real: node.real,
            link,
            digest: None,
            attributes: Attributes::new(),
            stat,
        })
    }

    /// Device and inode: the same for all links of a file.
    #[allow(clippy::unnecessary_cast)]
    pub(crate) fn identity(&self) -> (u64, u64) {
        (self.stat.st_dev as u64, self.stat.st_ino as u64)
    }

    /// How many names the file has.
    #[allow(clippy::unnecessary_cast)]
    pub(crate) fn links(&self) -> u64 {
        self.stat.st_nlink as u64
    }

    /// Puts what a copy of this entry depends on into `key`. Times are not among it.
    pub(crate) fn describe(&self, key: &mut Key, with_owner: bool) {
        key.field("path", &self.path);
        key.field("type", self.kind.as_raw_mode().to_le_bytes());
        key.field("mode", self.mode.to_le_bytes());
        if with_owner {
            key.field("owner", [self.uid.to_le_bytes(), self.gid.to_le_bytes()].concat());
            key.field("device", self.rdev.to_le_bytes());
        }
        if let Some(link) = &self.link {
            key.field("link", link);
        }
        if let Some(digest) = &self.digest {
            key.field("content", digest);
        }
        for (name, value) in &self.attributes {
            key.field("attribute", name).field("value", value);
        }
    }
}

/// Lists `start` and everything below it, parents before children, siblings by name. Ignored entries are left out;
/// `prefix` is the path of `start` in the tree, which the ignore patterns are about.
pub(crate) fn walk(
    tree: &Tree,
    start: Node,
    prefix: &[u8],
    ignore: Option<&IgnoreFile>,
) -> Result<Vec<Entry>, BuildError> {
    let mut out = Vec::new();
    let state = ignore.map(|i| state_of(i, prefix)).unwrap_or_default();
    let walker = Walker { tree, prefix, ignore: ignore.filter(|i| !i.is_empty()) };
    walker.visit(start, Vec::new(), &state, &mut out)?;
    Ok(out)
}

/// What the ignore file says about a directory, its parents considered.
fn state_of(ignore: &IgnoreFile, path: &[u8]) -> DirState {
    let text = String::from_utf8_lossy(path);
    let mut state = DirState::default();
    if text.is_empty() {
        return state;
    }
    for (at, _) in text.match_indices('/').chain(std::iter::once((text.len(), ""))) {
        state = ignore.check(text.get(..at).unwrap_or(&text), &state).state;
    }
    state
}

/// The entries below one child of the start, with the child's number.
type Part = (usize, Result<Vec<Entry>, BuildError>);

struct Walker<'w> {
    tree: &'w Tree,
    prefix: &'w [u8],
    ignore: Option<&'w IgnoreFile>,
}

impl Walker<'_> {
    fn full(&self, path: &[u8]) -> String {
        let joined = if self.prefix.is_empty() || path.is_empty() {
            [self.prefix, path].concat()
        } else {
            [self.prefix, path].join(&b'/')
        };
        String::from_utf8_lossy(&joined).into_owned()
    }

    fn visit(&self, node: Node, path: Vec<u8>, state: &DirState, out: &mut Vec<Entry>) -> Result<(), BuildError> {
        let directory = node.is_dir().then(|| node.clone());
        out.push(Entry::of(path.clone(), node)?);
        let Some(directory) = directory else { return Ok(()) };
        let children = self.tree.entries(&directory)?;
        if path.is_empty() {
            return self.visit_parallel(children, state, out);
        }
        for (name, child) in children {
            self.visit_child(child, [path.as_slice(), &name].join(&b'/'), state, out)?;
        }
        Ok(())
    }

    /// The children of the start: each subtree is listed by whichever thread is free, and all are joined in order.
    fn visit_parallel(
        &self,
        children: Vec<(Vec<u8>, Node)>,
        state: &DirState,
        out: &mut Vec<Entry>,
    ) -> Result<(), BuildError> {
        let directories = children.iter().filter(|(_, n)| n.is_dir()).count();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(directories);
        if threads < 2 {
            return children.into_iter().try_for_each(|(name, child)| self.visit_child(child, name, state, out));
        }
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<Part>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some((name, child)) = children.get(index) else { return };
                        let mut part = Vec::new();
                        let result = self.visit_child(child.clone(), name.clone(), state, &mut part).map(|()| part);
                        lock(&done).push((index, result));
                    }
                });
            }
        });
        let mut parts = std::mem::take(&mut *lock(&done));
        parts.sort_by_key(|(index, _)| *index);
        for (_, part) in parts {
            out.append(&mut part?);
        }
        Ok(())
    }

    fn visit_child(
        &self,
        child: Node,
        path: Vec<u8>,
        state: &DirState,
        out: &mut Vec<Entry>,
    ) -> Result<(), BuildError> {
        let Some(ignore) = self.ignore else { return self.visit(child, path, state, out) };
        let full = self.full(&path);
        let verdict = ignore.check(&full, state);
        if !verdict.ignored {
            return self.visit(child, path, &verdict.state, out);
        }
        if child.is_dir() && ignore.may_reach_below(&full) {
            // The directory itself comes only if something below it does.
            let before = out.len();
            self.visit(child, path, &verdict.state, out)?;
            if out.len() == before + 1 {
                out.truncate(before);
            }
        }
        Ok(())
    }
}

/// Fills in attributes alone.
pub(crate) fn attributes_of(entries: &mut [Entry], which: Which) -> Result<(), BuildError> {
    for entry in entries {
        entry.attributes = attributes::read(&entry.real, which).map_err(BuildError::io("read", &entry.real))?;
    }
    Ok(())
}

/// Fills in attributes, and the digests of regular files: with what the stat cache knows, and the rest read in parallel.
pub(crate) fn look_into(entries: &mut [Entry], cache: &StatCache, which: Which) -> Result<(), BuildError> {
    let mut wanted: Vec<usize> = Vec::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        let known = if entry.kind == FileType::RegularFile { cache.get(&entry.stat) } else { None };
        // Changing attributes changes a file's change time, so the cache knows of these too.
        if known.is_none_or(|known| known.has_attributes) {
            entry.attributes = attributes::read(&entry.real, which).map_err(BuildError::io("read", &entry.real))?;
        }
        entry.digest = known.map(|known| known.digest);
        if entry.kind == FileType::RegularFile && known.is_none() {
            wanted.push(index);
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(wanted.len());
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, [u8; 32])>> = Mutex::default();
    let failure: Mutex<Option<BuildError>> = Mutex::default();
    let shared: &[Entry] = entries;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut buffer = vec![0u8; 256 << 10];
                while let Some(index) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(entry) = shared.get(*index) else { return };
                    match hash_file(entry, &mut buffer) {
                        Ok(digest) => lock(&results).push((*index, digest)),
                        Err(e) => {
                            lock(&failure).get_or_insert(e);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(e) = lock(&failure).take() {
        return Err(e);
    }
    let results = std::mem::take(&mut *lock(&results));
    for (index, digest) in results {
        if let Some(entry) = entries.get_mut(index) {
            entry.digest = Some(digest);
            cache.put(&entry.stat, Known { digest, has_attributes: !entry.attributes.is_empty() });
        }
    }
    Ok(())
}

/// A lock whose holder panicked still guards whole values here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Opens a regular file for reading without following a symlink that took its place meanwhile.
pub(crate) fn open(path: &std::path::Path) -> Result<std::fs::File, BuildError> {
    use rustix::fs::OFlags;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .map(std::fs::File::from)
        .map_err(BuildError::io("open", path))
}

fn hash_file(entry: &Entry, buffer: &mut [u8]) -> Result<[u8; 32], BuildError> {
    use std::io::Read;
    let mut file = open(&entry.real)?;
    let mut hasher = Sha256::new();
    loop {
        let count = file.read(buffer).map_err(BuildError::io("read", &entry.real))?;
        if count == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
}
