//! Writing files into a new layer, over the layers below it.
//!
//! The layer's directory is private and new. Every destination is resolved through the merged view of the layer and
//! those below, in root, so that a symlink that a base image or an earlier file left cannot lead outside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::attributes::{self, Which};
use crate::error::BuildError;
use crate::merged::{Node, Parts, Resolved, Tree, join};
use crate::walk::{Entry, open};

/// Why something cannot be put where it should go: words for a message about the instruction.
#[derive(Debug)]
pub(crate) enum PlaceError {
    /// The instruction asks for something impossible.
    Refused(String),
    /// Something else failed.
    Build(BuildError),
}

impl From<BuildError> for PlaceError {
    fn from(error: BuildError) -> PlaceError {
        PlaceError::Build(error)
    }
}

type Result<T, E = PlaceError> = std::result::Result<T, E>;

/// How things are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Owner of everything; `None` keeps the source's.
    pub(crate) owner: Option<(u32, u32)>,
    /// Changes of permission bits.
    pub(crate) mode: Option<crate::owner::ModeChange>,
    /// Hard links stay hard links (sources from other stages).
    pub(crate) faithful: bool,
    /// A file may replace a directory and the other way round (archives); else that is refused.
    pub(crate) replace: bool,
    /// Devices are made; else they are refused.
    pub(crate) devices: bool,
}

/// A layer being written.
pub(crate) struct Place {
    upper: PathBuf,
    tree: Tree,
    rules: Rules,
    /// Directories that are there with the right attributes.
    ready: HashSet<Vec<u8>>,
    /// Times of directories, set last because writing into them changes them.
    dir_times: BTreeMap<PathBuf, (i64, i64)>,
    /// First copy of a file with several links.
    links: HashMap<(u64, u64), PathBuf>,
    reflink: bool,
}

impl Place {
    /// Writes into `upper` (empty), over `lower` (topmost first).
    pub(crate) fn new(upper: &Path, lower: &[PathBuf], rules: Rules) -> Place {
        let dirs = std::iter::once(upper.to_owned()).chain(lower.iter().cloned()).collect();
        Place {
            upper: upper.to_owned(),
            tree: Tree::overlay(dirs),
            rules,
            ready: HashSet::new(),
            dir_times: BTreeMap::new(),
            links: HashMap::new(),
            reflink: true,
        }
    }

    /// Other rules for what follows.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// What is at `path`, symlinks followed in root.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<Resolved> {
        Ok(self.tree.resolve(path, true)?)
    }

    fn real(&self, parts: &[Vec<u8>]) -> PathBuf {
        self.upper.join(join(parts))
    }

    /// Makes `path` a directory, with its parents; symlinks on the way are followed. New ones get the rules' owner and
    /// mode 0755. Returns where it is.
    pub(crate) fn directory(&mut self, path: &[u8]) -> Result<Parts> {
        let resolved = self.resolve(path)?;
        self.ensure(&resolved.parts)?;
        Ok(resolved.parts)
    }

    /// Makes every directory on the way to `parts` (without symlinks) be in the upper directory.
    fn ensure(&mut self, parts: &[Vec<u8>]) -> Result<()> {
        if parts.is_empty() || self.ready.contains(&parts.join(&b'/')) {
            return Ok(());
        }
        let (name, parent) = parts.split_last().ok_or_else(|| PlaceError::Refused("empty path".to_owned()))?;
        self.ensure(parent)?;
        let real = self.real(parts);
        let existing = match self.node_of(parent)? {
            Some(parent) => self.tree.child(&parent, name)?,
            None => None,
        };
        match existing {
            Some(node) if node.is_dir() => {
                if !node.real.starts_with(&self.upper) {
                    self.copy_up(&node, &real)?;
                }
            }
            Some(_) => {
                let shown = shown(parts);
                return Err(PlaceError::Refused(format!("`/{shown}` exists in the image and is not a directory")));
            }
            None => {
                make_dir(&real)?;
                let (uid, gid) = self.rules.owner.unwrap_or((0, 0));
                set_owner(&real, uid, gid)?;
            }
        }
        self.ready.insert(parts.join(&b'/'));
        Ok(())
    }

    fn node_of(&self, parts: &[Vec<u8>]) -> Result<Option<Node>> {
        let mut node = self.tree.root()?;
        for part in parts {
            node = match node {
                Some(n) if n.is_dir() => self.tree.child(&n, part)?,
                _ => None,
            };
        }
        Ok(node)
    }

    /// A directory of a lower layer, repeated in the upper one with all its attributes, so that they stay.
    fn copy_up(&mut self, node: &Node, real: &Path) -> Result<()> {
        make_dir(real)?;
        set_owner(real, node.stat.st_uid, node.stat.st_gid)?;
        set_mode(real, node.mode())?;
        attributes::read(&node.real, Which::All)
            .and_then(|found| attributes::write(real, &found))
            .map_err(BuildError::io("copy the attributes of", &node.real))?;
        #[allow(clippy::unnecessary_cast)]
        self.dir_times.insert(real.to_owned(), (node.stat.st_mtime as i64, node.stat.st_mtime_nsec as i64));
        Ok(())
    }

    /// Puts a tree (as `walk` lists it) at `target`, which has no symlinks left in its parent. The first entry is the
    /// root of the tree. With `keep_root`, an existing directory at `target` keeps its attributes.
    pub(crate) fn put_tree(&mut self, entries: &[Entry], target: &Parts, keep_root: bool) -> Result<()> {
        for entry in entries {
            let mut parts = target.clone();
            parts.extend(crate::merged::split(&entry.path));
            self.put(entry, &parts, keep_root && entry.path.is_empty())?;
        }
        Ok(())
    }

    /// Puts one entry at exactly `parts`.
    pub(crate) fn put(&mut self, entry: &Entry, parts: &[Vec<u8>], keep_attributes: bool) -> Result<()> {
        let (name, parent) = match parts.split_last() {
            Some(split) => split,
            None if entry.kind == FileType::Directory => return Ok(()),
            None => return Err(PlaceError::Refused("a file cannot become the root directory".to_owned())),
        };
        self.ensure(parent)?;
        let existing = match self.node_of(parent)? {
            Some(parent) => self.tree.child(&parent, name)?,
            None => None,
        };
        let real = self.real(parts);
        if entry.kind == FileType::Directory {
            return self.put_dir(entry, parts, &real, existing, keep_attributes);
        }
        if let Some(existing) = existing {
            if existing.is_dir() && !self.rules.replace {
                let shown = shown(parts);
                return Err(PlaceError::Refused(format!(
                    "`/{shown}` is a directory in the image, and a file cannot replace it"
                )));
            }
            self.clear(&existing, &real)?;
        }
        self.write(entry, &real)?;
        self.finish_entry(entry, &real)
    }

    fn put_dir(
        &mut self,
        entry: &Entry,
        parts: &[Vec<u8>],
        real: &Path,
        existing: Option<Node>,
        keep_attributes: bool,
    ) -> Result<()> {
        match existing {
            Some(node) if node.is_dir() => {
                self.ensure(parts)?;
                if keep_attributes {
                    return Ok(());
                }
            }
            Some(node) if self.rules.replace => {
                self.clear(&node, real)?;
                make_dir(real)?;
            }
            Some(node) => {
                let what = if node.is_symlink() { "a symbolic link" } else { "a file" };
                let shown = shown(parts);
                return Err(PlaceError::Refused(format!(
                    "`/{shown}` is {what} in the image, and a directory cannot replace it"
                )));
            }
            None => make_dir(real)?,
        }
        self.ready.insert(parts.join(&b'/'));
        self.finish_entry(entry, real)
    }

    /// Takes away what the upper directory has at `real`; what lower layers have is hidden by what comes.
    fn clear(&self, existing: &Node, real: &Path) -> Result<()> {
        if !existing.real.starts_with(&self.upper) {
            return Ok(());
        }
        let done = if existing.is_dir() { std::fs::remove_dir_all(real) } else { std::fs::remove_file(real) };
        done.map_err(BuildError::io("replace", real))?;
        Ok(())
    }

    fn write(&mut self, entry: &Entry, real: &Path) -> Result<()> {
        match entry.kind {
            FileType::RegularFile => self.write_file(entry, real),
            FileType::Symlink => {
                let target = entry.link.clone().unwrap_or_default();
                std::os::unix::fs::symlink(OsStr::from_bytes(&target), real)
                    .map_err(BuildError::io("make link", real))?;
                Ok(())
            }
            FileType::Fifo | FileType::BlockDevice | FileType::CharacterDevice if self.rules.devices => {
                rustix::fs::mknodat(CWD, real, entry.kind, Mode::from_raw_mode(0o600), entry.rdev)
                    .map_err(BuildError::io("make device", real))?;
                Ok(())
            }
            FileType::Fifo => {
                rustix::fs::mknodat(CWD, real, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
                    .map_err(BuildError::io("make fifo", real))?;
                Ok(())
            }
            _ => {
                let name = String::from_utf8_lossy(&entry.path);
                Err(PlaceError::Refused(format!("`{name}` is a device or socket, which cannot be copied")))
            }
        }
    }

    fn write_file(&mut self, entry: &Entry, real: &Path) -> Result<()> {
        let identity = entry.identity();
        if self.rules.faithful && entry.links() > 1 {
            if let Some(first) = self.links.get(&identity) {
                std::fs::hard_link(first, real).map_err(BuildError::io("link", real))?;
                return Ok(());
            }
            self.links.insert(identity, real.to_owned());
        }
        let mut from = open(&entry.real)?;
        let mut to = create(real)?;
        if self.reflink && entry.size >= 4096 {
            match rustix::fs::ioctl_ficlone(&to, &from) {
                Ok(()) => return Ok(()),
                Err(_) => self.reflink = false,
            }
        }
        std::io::copy(&mut from, &mut to).map_err(BuildError::io("copy", &entry.real))?;
        Ok(())
    }

    /// A file with this content (heredocs, downloads).
    pub(crate) fn put_bytes(&mut self, data: &[u8], parts: &[Vec<u8>], mode: u32, mtime: i64) -> Result<()> {
        let Some((name, parent)) = parts.split_last() else {
            return Err(PlaceError::Refused("a file cannot become the root directory".to_owned()));
        };
        self.ensure(parent)?;
        let real = self.real(parts);
        if let Some(parent) = self.node_of(parent)?
            && let Some(existing) = self.tree.child(&parent, name)?
        {
            if existing.is_dir() {
                return Err(PlaceError::Refused(format!("`/{}` is a directory in the image", shown(parts))));
            }
            self.clear(&existing, &real)?;
        }
        std::io::Write::write_all(&mut create(&real)?, data).map_err(BuildError::io("write", &real))?;
        let (uid, gid) = self.rules.owner.unwrap_or((0, 0));
        set_owner(&real, uid, gid)?;
        set_mode(&real, self.rules.mode.as_ref().map_or(mode, |m| m.apply(mode, false)))?;
        set_time(&real, (mtime, 0))?;
        Ok(())
    }

    fn finish_entry(&mut self, entry: &Entry, real: &Path) -> Result<()> {
        let (uid, gid) = self.rules.owner.unwrap_or((entry.uid, entry.gid));
        set_owner(real, uid, gid)?;
        let is_dir = entry.kind == FileType::Directory;
        if entry.kind != FileType::Symlink {
            set_mode(real, self.rules.mode.as_ref().map_or(entry.mode, |m| m.apply(entry.mode, is_dir)))?;
        }
        // A directory whose content is copied gives its mode to the destination, as with docker, and nothing more.
        if !is_dir || !entry.path.is_empty() {
            attributes::write(real, &entry.attributes).map_err(BuildError::io("set attributes of", real))?;
        }
        if is_dir {
            self.dir_times.insert(real.to_owned(), entry.mtime);
        } else {
            set_time(real, entry.mtime)?;
        }
        Ok(())
    }

    /// Sets the times of directories. Call it last.
    pub(crate) fn finish(self) -> Result<()> {
        for (path, time) in self.dir_times.iter().rev() {
            set_time(path, *time)?;
        }
        Ok(())
    }
}

fn shown(parts: &[Vec<u8>]) -> String {
    join(parts).display().to_string()
}

fn make_dir(real: &Path) -> Result<()> {
    match rustix::fs::mkdir(real, Mode::from_raw_mode(0o755)) {
        Ok(()) => {}
        Err(Errno::EXIST) if real.is_dir() => {}
        Err(e) => return Err(BuildError::io("create directory", real)(e).into()),
    }
    // The process's umask must not show in the image.
    set_mode(real, 0o755)
}

fn create(real: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    Ok(options.open(real).map_err(BuildError::io("create", real))?)
}

fn set_owner(real: &Path, uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    stockade_durable::owned(rustix::fs::chownat(CWD, real, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
        .map_err(BuildError::io("set the owner of", real))?;
    Ok(())
}

/// After the owner: changing it clears setuid and setgid.
fn set_mode(real: &Path, mode: u32) -> Result<()> {
    rustix::fs::chmod(real, Mode::from_raw_mode(mode)).map_err(BuildError::io("set the mode of", real))?;
    Ok(())
}

fn set_time(real: &Path, (seconds, nanoseconds): (i64, i64)) -> Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, real, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(BuildError::io("set the times of", real))?;
    Ok(())
}
