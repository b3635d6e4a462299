//! One change of a host, made atomically: a file replaced, a mode, an owner, a kernel setting.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, chmodat, chownat, fchmod, fchown, mkdirat, openat, renameat, statat, unlinkat,
};
use serde::{Deserialize, Serialize};

use super::FixError;
use crate::host::{Host, sysctl_path};

/// Largest file that is changed, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// What is changed. Paths are absolute on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file's content; `old` is `None` where the file is new.
    File {
        /// The file.
        path: PathBuf,
        /// Its bytes before.
        old: Option<Vec<u8>>,
        /// Its bytes after.
        new: Vec<u8>,
    },
    /// Permission bits.
    Mode {
        /// The file.
        path: PathBuf,
        /// Before.
        from: u32,
        /// After.
        to: u32,
    },
    /// User and group.
    Owner {
        /// The file.
        path: PathBuf,
        /// Before.
        from: (u32, u32),
        /// After.
        to: (u32, u32),
    },
    /// A kernel setting's value now; what holds after a boot is in a file.
    Sysctl {
        /// Name with dots.
        key: String,
        /// Before.
        from: String,
        /// After.
        to: String,
    },
}

/// Owner and mode of a file, kept for undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Reads a regular file for a change. `None` where there is none; a link is refused, because replacing it would leave
/// what it points to as it was.
pub(crate) fn read(host: &Host, path: &Path) -> Result<Option<(Vec<u8>, Attributes)>, FixError> {
    let failed = |source: std::io::Error| FixError::Read { path: path.to_owned(), source };
    let file = match host.open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(FixError::Link { path: path.to_owned() });
        }
        Err(e) => return Err(failed(e)),
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(FixError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FixError::TooLarge { path: path.to_owned() });
    }
    Ok(Some((bytes, Attributes { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() })))
}

impl Change {
    /// The path of the change, for people.
    pub fn path(&self) -> PathBuf {
        match self {
            Change::File { path, .. } | Change::Mode { path, .. } | Change::Owner { path, .. } => path.clone(),
            Change::Sysctl { key, .. } => PathBuf::from(sysctl_path(key)),
        }
    }

    /// Makes the change. `attributes` are those that a replaced file keeps; a new one gets 0644 and our own user.
    pub(crate) fn make(&self, host: &Host, attributes: Option<Attributes>) -> Result<(), FixError> {
        let failed = |source: std::io::Error| FixError::Change { path: self.path(), source };
        match self {
            Change::File { path, new, .. } => replace(host, path, new, attributes).map_err(failed),
            Change::Mode { path, to, .. } => {
                let (dir, name) = not_a_link(host, path)?;
                chmodat(&dir, name, Mode::from_raw_mode(*to), AtFlags::empty()).map_err(|e| failed(e.into()))
            }
            Change::Owner { path, to: (uid, gid), .. } => {
                let (dir, name) = not_a_link(host, path)?;
                let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
                chownat(&dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed(e.into()))
            }
            Change::Sysctl { key, to, .. } => {
                let mut file = host.open(Path::new(&sysctl_path(key)), OFlags::WRONLY).map_err(failed)?;
                file.write_all(to.as_bytes()).map_err(failed)
            }
        }
    }
}

/// Directory and name of a path; fails where the path is a link.
fn not_a_link<'p>(host: &Host, path: &'p Path) -> Result<(OwnedFd, &'p std::ffi::OsStr), FixError> {
    let failed = |source: std::io::Error| FixError::Change { path: path.to_owned(), source };
    let (dir, name) = parent(host, path, false).map_err(failed)?;
    let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed(e.into()))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink {
        return Err(FixError::Link { path: path.to_owned() });
    }
    Ok((dir, name))
}

/// Opens the directory of a path, making it (and those above, mode 0755) if asked to.
fn parent<'p>(host: &Host, path: &'p Path, make: bool) -> std::io::Result<(OwnedFd, &'p std::ffi::OsStr)> {
    let no_name = || std::io::Error::other("the path has no file name");
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Err(no_name()) };
    match host.open(dir, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(fd) => Ok((fd.into(), name)),
        Err(e) if make && e.kind() == std::io::ErrorKind::NotFound => {
            let (above, dir_name) = parent(host, dir, true)?;
            match mkdirat(&above, dir_name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
            }
            Ok((host.open(dir, OFlags::RDONLY | OFlags::DIRECTORY)?.into(), name))
        }
        Err(e) => Err(e),
    }
}

/// Replaces a file by a new one that is complete on disk before it takes the name. Owner, mode and extended attributes
/// (SELinux labels among them) are those of the old one.
fn replace(host: &Host, path: &Path, bytes: &[u8], attributes: Option<Attributes>) -> std::io::Result<()> {
    let (dir, name) = parent(host, path, true)?;
    let temporary = stockade_durable::temporary_name();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = (|| -> std::io::Result<()> {
        let fd = openat(&dir, temporary.as_str(), flags, Mode::from_raw_mode(0o600))?;
        let mut file = std::fs::File::from(fd);
        file.write_all(bytes)?;
        if let Some(a) = attributes {
            fchown(&file, Some(Uid::from_raw(a.uid)), Some(Gid::from_raw(a.gid)))?;
        }
        copy_attributes(&dir, name, &file);
        // After the owner: a change of owner takes setuid bits away.
        fchmod(&file, Mode::from_raw_mode(attributes.map_or(0o644, |a| a.mode)))?;
        file.sync_all()?;
        renameat(&dir, temporary.as_str(), &dir, name)?;
        rustix::fs::fsync(&dir)?;
        Ok(())
    })();
    if made.is_err() {
        // The first error matters.
        let _ = unlinkat(&dir, temporary.as_str(), AtFlags::empty());
    }
    made
}

/// Copies extended attributes as far as they can be: a file system without them has none to lose.
fn copy_attributes(dir: &OwnedFd, name: &std::ffi::OsStr, to: &std::fs::File) {
    let Ok(from) = openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    let mut names = vec![0u8; 64 << 10];
    let Ok(length) = rustix::fs::flistxattr(&from, names.as_mut_slice()) else { return };
    for name in names.get(..length).unwrap_or_default().split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0u8; 64 << 10];
        if let Ok(n) = rustix::fs::fgetxattr(&from, name, value.as_mut_slice()) {
            let _ =
                rustix::fs::fsetxattr(to, name, value.get(..n).unwrap_or_default(), rustix::fs::XattrFlags::empty());
        }
    }
}

/// Removes a file that a change made, and the directory it is in if that is left empty and was made with it.
pub(crate) fn remove(host: &Host, path: &Path, with_directory: bool) -> Result<(), FixError> {
    let failed = |source: std::io::Error| FixError::Change { path: path.to_owned(), source };
    let (dir, name) = parent(host, path, false).map_err(failed)?;
    match unlinkat(&dir, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(e) => return Err(failed(e.into())),
    }
    if with_directory && let Some(above) = path.parent().and_then(|p| parent(host, p, false).ok()) {
        // Not empty: somebody else uses it by now.
        let _ = unlinkat(&above.0, above.1, AtFlags::REMOVEDIR);
    }
    Ok(())
}
