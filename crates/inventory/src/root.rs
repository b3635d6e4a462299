//! Opens files beneath a root directory without ever following a symbolic link out of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::error::InventoryError;

const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const DIR: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::DIRECTORY);

/// An open root directory.
pub struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Opens the directory. `path` itself may be a symbolic link: the caller named it.
    /// # Errors
    /// When it is missing or no directory.
    pub fn open(path: &Path) -> Result<Self, InventoryError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd }),
            Err(Errno::NOTDIR) => Err(InventoryError::NotADirectory { path: path.to_owned() }),
            Err(source) => Err(InventoryError::Open { path: path.to_owned(), source: source.into() }),
        }
    }

    /// The directory itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a directory by its relative path; no component may be a symbolic link. Empty means the root.
    /// # Errors
    /// The system's.
    pub fn dir(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.strict(if path.is_empty() { b"." } else { path }, DIR)
    }

    /// Opens a file by its relative path; no component may be a symbolic link.
    /// # Errors
    /// The system's.
    pub fn file(&self, path: &[u8]) -> io::Result<File> {
        Ok(File::from(self.strict(path, FILE)?))
    }

    /// Opens a file by path, following symbolic links as a process inside the root would.
    /// # Errors
    /// The system's.
    pub fn file_following(&self, path: &[u8]) -> io::Result<File> {
        let flags = FILE.difference(OFlags::NOFOLLOW);
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(File::from(openat2(&self.fd, path, flags, Mode::empty(), resolve)?))
    }

    fn strict(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.fd, path, flags, Mode::empty(), resolve) {
            // Old kernels and some container filters have no openat2.
            Err(Errno::NOSYS | Errno::PERM) => self.by_component(path, flags),
            other => other,
        }
    }

    fn by_component(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut current: Option<OwnedFd> = None;
        let mut parts = path.split(|b| *b == b'/').peekable();
        while let Some(part) = parts.next() {
            if part == b".." {
                return Err(Errno::XDEV);
            }
            let flags = if parts.peek().is_some() { DIR } else { flags };
            let at = current.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            current = Some(openat(at, part, flags, Mode::empty())?);
        }
        current.ok_or(Errno::NOENT)
    }
}

/// Opens an entry of an open directory, not following symbolic links and not blocking on pipes.
/// # Errors
/// The system's.
pub fn open_entry(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    openat(dir, name, FILE, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_do_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        std::fs::write(dir.path().join("secret"), "no").unwrap();
        std::fs::write(dir.path().join("root/secret"), "inside").unwrap();
        std::os::unix::fs::symlink("../../secret", dir.path().join("root/etc/link")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("root/up")).unwrap();
        let root = Root::open(&dir.path().join("root")).unwrap();
        assert!(root.file(b"etc/link").is_err());
        assert!(root.file(b"up/secret").is_err());
        assert!(root.file(b"../secret").is_err());
        assert!(root.by_component(b"../secret", FILE).is_err());
        assert!(root.by_component(b"etc/link", FILE).is_err());
        assert!(root.by_component(b"up/secret", FILE).is_err());
        let mut text = String::new();
        std::io::Read::read_to_string(&mut root.file_following(b"etc/link").unwrap(), &mut text).unwrap();
        assert_eq!(text, "inside");
    }
}
