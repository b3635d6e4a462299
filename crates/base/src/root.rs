//! File operations beneath the new root, none of which can leave it.
//!
//! Every path is resolved by openat2(2) with `RESOLVE_IN_ROOT`: symlinks, also absolute ones and `..`, are resolved as
//! inside the root. The last component is never followed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

/// Tries of an openat2 that the kernel asks to repeat because of a rename elsewhere at the same time.
const MAX_RETRIES: usize = 128;

/// A root directory.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    /// Its path on the host, for messages and for the runner.
    pub path: PathBuf,
}

/// An open directory beneath the root and the name of an entry in it.
pub struct Place<'p> {
    /// The directory.
    pub dir: OwnedFd,
    /// The entry's name.
    pub name: &'p OsStr,
}

impl Root {
    /// Opens an existing directory as root.
    ///
    /// # Errors
    /// It is none, or not accessible.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Root { fd: rustix::fs::open(path, flags, Mode::empty())?, path: path.to_owned() })
    }

    /// Opens what is at `path` (relative or absolute, as seen from inside).
    pub fn open_at(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..MAX_RETRIES {
            match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(Errno::AGAIN) => {}
                result => return Ok(result?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Opens a directory; makes it and its parents (0755) if missing.
    pub fn open_dir(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open_at(path, flags, Mode::empty()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let place = self.place(path)?;
                match rustix::fs::mkdirat(&place.dir, place.name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => self.open_at(path, flags, Mode::empty()),
                    Err(e) => Err(e.into()),
                }
            }
            result => result,
        }
    }

    /// The directory that holds `path` (made if missing), and the last name.
    pub fn place<'p>(&self, path: &'p Path) -> io::Result<Place<'p>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "its path has no last name");
        let name = path.file_name().ok_or_else(invalid)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok(Place { dir: self.open_dir(parent)?, name })
    }

    /// Writes a whole file, replacing what is there. Parents are made.
    pub fn write(&self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        use std::io::Write;
        let place = self.place(Path::new(path))?;
        place.remove_file()?;
        let mut file = std::fs::File::from(place.create()?);
        file.write_all(bytes)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(())
    }

    /// Reads a whole file of at most `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        use std::io::Read;
        // Non-blocking, so that a FIFO cannot hold us.
        let fd = self.open_at(Path::new(path), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
        let mut bytes = Vec::new();
        std::fs::File::from(fd).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Removes a file, link or whole directory; one that is not there is fine.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let Ok(dir) = self.open_at(Path::new(path).parent().unwrap_or(Path::new("")), OFlags::PATH, Mode::empty())
        else {
            return Ok(());
        };
        let Some(name) = Path::new(path).file_name() else { return Ok(()) };
        remove_at(&dir, name)
    }

    /// Names in a directory; none if it is not there.
    pub fn list(&self, path: &str) -> io::Result<Vec<std::ffi::OsString>> {
        match self.open_at(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Ok(fd) => names(&fd),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// Sets the modification time (and access time) of everything newer than `limit` seconds since 1970 to it.
    pub fn clamp_times(&self, limit: i64) -> io::Result<()> {
        let fd = self.open_at(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        clamp_dir(&fd, limit)?;
        clamp_one(&fd, OsStr::new("."), limit).map(|_| ())
    }
}

impl Place<'_> {
    /// Creates a new file; nothing may be there.
    pub fn create(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.dir, self.name, flags, Mode::from_raw_mode(0o600))
    }

    /// Removes what is there unless it is a directory.
    pub fn remove_file(&self) -> rustix::io::Result<()> {
        match rustix::fs::unlinkat(&self.dir, self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Seconds since 1970 as both times of a file.
pub(crate) fn times(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn names(fd: &OwnedFd) -> io::Result<Vec<std::ffi::OsString>> {
    let mut out = Vec::new();
    for entry in rustix::fs::Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            out.push(OsStr::from_bytes(name).to_owned());
        }
    }
    out.sort();
    Ok(out)
}

fn remove_at(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(e) => return Err(e.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    for entry in names(&fd)? {
        remove_at(&fd, &entry)?;
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Clamps all entries of a directory, children before the directory itself (whose time a child's does not change).
fn clamp_dir(dir: &OwnedFd, limit: i64) -> io::Result<()> {
    for name in names(dir)? {
        if clamp_one(dir, &name, limit)? {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            clamp_dir(&rustix::fs::openat(dir, name.as_os_str(), flags, Mode::empty())?, limit)?;
        }
    }
    Ok(())
}

/// Returns whether it is a directory.
fn clamp_one(dir: impl AsFd, name: &OsStr, limit: i64) -> io::Result<bool> {
    let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if stat.st_mtime > limit {
        rustix::fs::utimensat(&dir, name, &times(limit), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_inside_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("absolute")).unwrap();
        std::os::unix::fs::symlink("../../../../../../../../tmp", dir.path().join("climbing")).unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        root.write("climbing/file", b"x", 0o644).unwrap();
        assert!(dir.path().join("tmp/file").exists());
        assert!(root.write("absolute/file", b"x", 0o644).is_err(), "the target does not exist inside");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(root.write("..", b"x", 0o644).is_err());
    }

    #[test]
    fn a_written_file_replaces_a_link_and_not_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write("target", b"kept", 0o644).unwrap();
        std::os::unix::fs::symlink("target", dir.path().join("link")).unwrap();
        root.write("link", b"new", 0o600).unwrap();
        assert_eq!(root.read("target", 100).unwrap(), b"kept");
        assert_eq!(root.read("/link", 2).unwrap(), b"ne");
    }

    #[test]
    fn removing_and_clamping_stay_inside() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), b"").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write("a/b/c", b"", 0o644).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("a/b/out")).unwrap();
        root.clamp_times(1_000_000).unwrap();
        let seconds = |p: &Path| std::os::unix::fs::MetadataExt::mtime(&std::fs::symlink_metadata(p).unwrap());
        for path in ["", "a", "a/b", "a/b/c", "a/b/out"] {
            assert_eq!(seconds(&dir.path().join(path)), 1_000_000, "{path}");
        }
        assert!(seconds(outside.path()) > 1_000_000);
        root.remove("a").unwrap();
        root.remove("never/there").unwrap();
        assert!(outside.path().join("kept").exists() && !dir.path().join("a").exists());
    }
}
