//! Paths of entries, and the directories that they lie in, opened beneath a root.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, chmodat, mkdirat, openat, openat2, readlinkat};
use rustix::io::Errno;

use crate::error::{ImageError, Result, shown};

/// Open directories that the cache keeps. Tars are written depth first, so a few would do; the process has at least
/// 1024 descriptors.
const CACHE_ENTRIES: usize = 128;
/// Symbolic links in a row that may lead to a directory which does not exist yet (the kernel's own limit is 40).
const MAX_LINKS: u32 = 8;
/// How often a lookup is repeated when the kernel could not rule out a race (`EAGAIN`, see `openat2(2)`).
const MAX_RETRIES: u32 = 64;
/// Mode of directories that no entry describes.
const IMPLIED_MODE: Mode = Mode::from_raw_mode(0o755);

/// A path of an entry without `.`, `..`, and empty parts: names joined by `/`, relative to the root; empty for the
/// root itself. It may still cross symbolic links; only the kernel can resolve those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CleanPath {
    pub whole: Vec<u8>,
    /// Where the last name begins.
    base: usize,
    pub depth: u64,
}

impl CleanPath {
    /// As Go's `filepath.Clean`; a path that climbs above the root is refused.
    pub fn new(path: &[u8]) -> Result<CleanPath> {
        let mut names: Vec<&[u8]> = Vec::new();
        for name in path.split(|b| *b == b'/') {
            match name {
                b"" | b"." => {}
                b".." => {
                    names.pop().ok_or_else(|| ImageError::entry(path, "it climbs out of the layer by `..`"))?;
                }
                name if name.len() > 255 => {
                    return Err(ImageError::entry(path, "a name in it is longer than 255 bytes"));
                }
                name => names.push(name),
            }
        }
        let whole = names.join(&b'/');
        let base = whole.len() - names.last().map_or(0, |n| n.len());
        Ok(CleanPath { whole, base, depth: names.len() as u64 })
    }

    pub fn is_root(&self) -> bool {
        self.whole.is_empty()
    }

    /// The last name.
    pub fn base(&self) -> &[u8] {
        self.whole.get(self.base..).unwrap_or_default()
    }

    /// The path of the directory, empty for the root.
    pub fn parent(&self) -> &[u8] {
        self.whole.get(..self.base.saturating_sub(1)).unwrap_or_default()
    }

    /// The path of another name in the same directory.
    pub fn sibling(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.whole.get(..self.base).unwrap_or_default().to_vec();
        path.extend_from_slice(name);
        path
    }
}

/// Directories beneath a root, opened once.
pub(super) struct Dirs<'r> {
    root: BorrowedFd<'r>,
    open: HashMap<Vec<u8>, Rc<OwnedFd>>,
}

impl<'r> Dirs<'r> {
    pub fn new(root: BorrowedFd<'r>) -> Dirs<'r> {
        Dirs { root, open: HashMap::new() }
    }

    /// Forgets all handles: a directory or link was replaced, and paths may lead elsewhere now.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// The directory `path`, made with its parents where it is missing. Symbolic links are resolved with the root as
    /// `/`, so the result lies beneath the root. `entry` is for messages.
    pub fn get_or_make(&mut self, path: &[u8], entry: &[u8]) -> Result<Rc<OwnedFd>> {
        self.cached(path, |root| ensure(root, path, MAX_LINKS, entry))
    }

    /// The directory `path` if it exists.
    pub fn get(&mut self, path: &[u8], entry: &[u8]) -> Result<Rc<OwnedFd>> {
        self.cached(path, |root| open_dir(root, path, OFlags::PATH).map_err(|e| refused(entry, path, e)))
    }

    fn cached(&mut self, path: &[u8], open: impl FnOnce(BorrowedFd<'r>) -> Result<OwnedFd>) -> Result<Rc<OwnedFd>> {
        if let Some(dir) = self.open.get(path) {
            return Ok(Rc::clone(dir));
        }
        let dir = Rc::new(open(self.root)?);
        if self.open.len() >= CACHE_ENTRIES {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), Rc::clone(&dir));
        Ok(dir)
    }
}

/// Opens a directory with the root as `/`. `path` may be empty for the root.
pub(super) fn open_dir(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut retries = 0;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if retries < MAX_RETRIES => retries += 1,
            other => return other,
        }
    }
}

/// Opens `path`, making what is missing. A dangling link on the way is followed within the root and its target made.
fn ensure(root: BorrowedFd<'_>, path: &[u8], links_left: u32, entry: &[u8]) -> Result<OwnedFd> {
    match open_dir(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        other => return other.map_err(|e| refused(entry, path, e)),
    }
    let slash = path.iter().rposition(|b| *b == b'/');
    let (parent, name) = match slash {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&b""[..], path),
    };
    if name.is_empty() || name == b"." {
        return ensure(root, parent, links_left, entry);
    }
    let dir = ensure(root, parent, links_left, entry)?;
    match mkdirat(&dir, name, IMPLIED_MODE) {
        Ok(()) => {
            // The umask may have taken bits away.
            chmodat(&dir, name, IMPLIED_MODE, AtFlags::empty()).map_err(|e| refused(entry, path, e))?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&dir, name, flags, Mode::empty()).map_err(|e| refused(entry, path, e))
        }
        Err(Errno::EXIST) => {
            let target = readlinkat(dir.as_fd(), name, Vec::new()).map_err(|_| refused(entry, path, Errno::NOTDIR))?;
            let target = target.as_bytes();
            if links_left == 0 {
                return Err(refused(entry, path, Errno::LOOP));
            }
            let next = if target.starts_with(b"/") { target.to_vec() } else { [parent, b"/", target].concat() };
            ensure(root, &next, links_left - 1, entry)
        }
        Err(e) => Err(refused(entry, path, e)),
    }
}

/// Turns the kernel's answer about the directory `path` of `entry` into words.
fn refused(entry: &[u8], path: &[u8], errno: Errno) -> ImageError {
    let path_shown = shown(path);
    let reason = match errno {
        Errno::NOENT => format!("`{path_shown}` does not exist in the layer"),
        Errno::NOTDIR => format!("`{path_shown}` is not a directory in the layer"),
        Errno::LOOP => format!("`{path_shown}` is a loop of symbolic links"),
        Errno::XDEV => format!("`{path_shown}` leaves the layer"),
        Errno::NAMETOOLONG => format!("`{path_shown}` is too long"),
        other => return ImageError::io("create", String::from_utf8_lossy(entry).as_ref(), other.into()),
    };
    ImageError::entry(entry, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn clean(path: &[u8], parent: &[u8], base: &[u8]) {
        let path = CleanPath::new(path).unwrap();
        assert_eq!((path.parent(), path.base()), (parent, base));
    }

    #[test]
    fn paths_are_cleaned_and_cannot_climb() {
        clean(b"a", b"", b"a");
        clean(b"./a/b", b"a", b"b");
        clean(b"/a//b/./c/", b"a/b", b"c");
        clean(b"a/../b", b"", b"b");
        clean(b"./", b"", b"");
        assert!(CleanPath::new(b"/").unwrap().is_root());
        assert_eq!(CleanPath::new(b"d/.wh.x").unwrap().sibling(b"x"), b"d/x");
        for bad in [&b".."[..], b"../a", b"a/../../b", b"/..", b"./../x"] {
            assert!(CleanPath::new(bad).is_err(), "{}", shown(bad));
        }
        assert!(CleanPath::new(&[b'n'; 256]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_clean_path_has_no_dots_and_is_its_own_clean_path(path in "[a./]{0,24}") {
            if let Ok(clean) = CleanPath::new(path.as_bytes()) {
                proptest::prop_assert!(clean.whole.split(|b| *b == b'/').all(|n| n != b"." && n != b".."));
                proptest::prop_assert_eq!(CleanPath::new(&clean.whole).unwrap(), clean);
            }
        }
    }
}
