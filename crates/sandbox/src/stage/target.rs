//! Paths inside the container, resolved into descriptors.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, mkdirat, mknodat, openat2, statx};
use rustix::io::Errno;

use super::Stage;
use crate::SandboxError;
use crate::error::Result;

/// What must be at a place; it is made when missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Directory,
    File,
}

/// Which symbolic links may be on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// None: for the kernel's file systems, which must be where programs look for them.
    None,
    /// Any, read as inside the container: an image may have /var/run -> /run.
    Inside,
}

/// A place to start from, and the path from there.
pub(super) struct Start<'s> {
    pub(super) base: BorrowedFd<'s>,
    pub(super) rest: String,
    pub(super) anchored: bool,
}

impl Stage<'_> {
    /// Where to begin for the absolute path `path`: the nearest anchor above it, or the root.
    pub(super) fn start(&self, path: &str) -> Start<'_> {
        let path = normal(path);
        let nearest = self
            .anchors
            .iter()
            .filter_map(|a| Some((a, path.strip_prefix(a.path.as_str())?.strip_prefix('/')?)))
            .max_by_key(|(a, _)| a.path.len());
        match nearest {
            Some((anchor, rest)) => Start { base: anchor.root.as_fd(), rest: rest.to_owned(), anchored: true },
            None => Start { base: self.root.as_fd(), rest: path.trim_start_matches('/').to_owned(), anchored: false },
        }
    }

    /// The place `path`, made if missing, owned by the container's root.
    pub(super) fn place(&self, path: &str, want: Want, links: Links) -> Result<OwnedFd> {
        let start = self.start(path);
        let links = if start.anchored { Links::None } else { links };
        ensure(start.base, &start.rest, want, links).map_err(|e| refusal(path, e))
    }

    /// The place `path` if it is there. Symbolic links are refused on the whole way.
    pub(super) fn existing(&self, path: &str) -> Result<Option<OwnedFd>> {
        let start = self.start(path);
        match open(start.base, &start.rest, Links::None) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(refusal(path, e)),
        }
    }
}

fn refusal(path: &str, errno: Errno) -> SandboxError {
    let why = match errno {
        Errno::LOOP => "it is or goes through a symbolic link in the image, which could lead elsewhere".to_owned(),
        Errno::XDEV => "it leads out of the container".to_owned(),
        Errno::NOTDIR => "a part of the path is not a directory".to_owned(),
        Errno::NOENT => "it is a symbolic link to nothing".to_owned(),
        other => other.to_string(),
    };
    SandboxError::Target { target: path.to_owned(), why }
}

/// Path components without `.` and with `..` taken back, as docker reads mount targets.
pub(super) fn components(path: &str) -> impl Iterator<Item = &str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.into_iter()
}

/// `/a/b`; the root is empty.
pub(super) fn normal(path: &str) -> String {
    components(path).fold(String::new(), |path, part| path + "/" + part)
}

/// Opens `path` (relative to `base`) as a place, without opening what is there.
pub(super) fn open(base: BorrowedFd<'_>, path: &str, links: Links) -> Result<OwnedFd, Errno> {
    let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    if links == Links::None {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    let path = if path.is_empty() { "." } else { path };
    openat2(base, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn ensure(base: BorrowedFd<'_>, path: &str, want: Want, links: Links) -> Result<OwnedFd, Errno> {
    match open(base, path, links) {
        Err(Errno::NOENT) if !path.is_empty() => {}
        other => return other,
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = ensure(base, parent, Want::Directory, links)?;
    let made = match want {
        Want::Directory => mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
        Want::File => mknodat(&parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0),
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => open(base, path, links),
        Err(e) => Err(e),
    }
}

/// Whether the descriptor is a directory's.
pub(super) fn is_directory(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let facts = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(facts.stx_mode.into()) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn dots_are_taken_back_lexically_and_never_above_the_root() {
        assert_eq!(normal("/a/./b//../c"), "/a/c");
        assert_eq!(normal("/../../etc"), "/etc");
        assert_eq!(normal("/"), "");
    }

    #[test]
    fn missing_places_are_made_and_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join("escape")).unwrap();
        let base = std::fs::File::open(dir.path()).unwrap();
        let base = base.as_fd();
        ensure(base, "a/b/file", Want::File, Links::Inside).unwrap();
        assert!(dir.path().join("a/b/file").is_file());
        // An absolute link is read as inside: nothing is made outside.
        let _ = ensure(base, "escape/x", Want::Directory, Links::Inside);
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(ensure(base, "escape", Want::Directory, Links::None).unwrap_err(), Errno::LOOP);
    }
}
