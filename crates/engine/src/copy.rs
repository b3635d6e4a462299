//! Copies a tree with owners, modes, times, links, devices and extended attributes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fgetxattr, flistxattr,
    fsetxattr, linkat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat, utimensat,
};
use stockade_durable::owned;

use crate::error::{EngineError, io_error};
use crate::merged;

/// Deepest tree that is copied. Recursion uses one frame a level.
const MAX_DEPTH: usize = 512;

/// Copies what the layers (topmost first) hold at `path` into the directory `into`; nothing if there is none.
pub(crate) fn from_layers(lower: &[PathBuf], path: &str, into: &Path) -> Result<(), EngineError> {
    let root = merged::open(lower, None)?;
    let source = match merged::open_beneath(&root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(source) => source,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(e) => return Err(io_error("read", Path::new(path))(e)),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::open(into, flags, Mode::empty()).map_err(io_error("open", into))?;
    tree(&source, &target).map_err(io_error("copy the image's files to", into))
}

/// Copies an overlay upper directory with the marks that make it one.
pub(crate) fn layer(from: &Path, into: &Path) -> Result<(), EngineError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source = rustix::fs::open(from, flags, Mode::empty()).map_err(io_error("open", from))?;
    let target = rustix::fs::open(into, flags, Mode::empty()).map_err(io_error("open", into))?;
    let mut links = Links { root: &target, known: BTreeMap::new(), overlay_marks: true };
    directory(&source, &target, &mut links, PathBuf::new(), 0).map_err(io_error("copy the container's files to", into))
}

/// Copies the content and the attributes of the directory `source` to the directory `target`.
fn tree(source: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let mut links = Links { root: target, known: BTreeMap::new(), overlay_marks: false };
    directory(source, target, &mut links, PathBuf::new(), 0)
}

/// Files with several names: where the first one was put, relative to the target's root.
struct Links<'a> {
    root: &'a OwnedFd,
    known: BTreeMap<(u64, u64), PathBuf>,
    /// Copy overlay's own attributes too.
    overlay_marks: bool,
}

fn directory(source: &OwnedFd, target: &OwnedFd, links: &mut Links<'_>, at: PathBuf, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other("directories are nested too deeply"));
    }
    for entry in Dir::read_from(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let path = at.join(name.to_string_lossy().as_ref());
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mode = Mode::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = links.known.get(&(stat.st_dev, stat.st_ino)) {
                linkat(links.root, first, target, name, AtFlags::empty())?;
                continue;
            }
            links.known.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        match kind {
            FileType::Directory => {
                mkdirat(target, name, Mode::RWXU)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let from = openat(source, name, flags, Mode::empty())?;
                let to = openat(target, name, flags, Mode::empty())?;
                directory(&from, &to, links, path, depth + 1)?;
                continue;
            }
            FileType::RegularFile => {
                let from = openat(source, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let to = openat(target, name, flags, Mode::RUSR | Mode::WUSR)?;
                let (mut from, mut to) = (std::fs::File::from(from), std::fs::File::from(to));
                io::copy(&mut from, &mut to)?;
                owned(rustix::fs::fchown(&to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))))?;
                rustix::fs::fchmod(&to, mode)?;
                attributes(&from, &to, links.overlay_marks);
            }
            FileType::Symlink => symlinkat(readlinkat(source, name, Vec::new())?, target, name)?,
            // A socket is of no use without its owner.
            FileType::Socket => continue,
            _ => mknodat(target, name, kind, mode, stat.st_rdev)?,
        }
        if kind != FileType::RegularFile {
            let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
            owned(chownat(target, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW))?;
        }
        utimensat(target, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    let stat = rustix::fs::fstat(source)?;
    owned(rustix::fs::fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))))?;
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode))?;
    attributes(source, target, links.overlay_marks);
    rustix::fs::futimens(target, &times(&stat))?;
    Ok(())
}

fn times(stat: &rustix::fs::Stat) -> Timestamps {
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap)] // the field types differ between architectures
    let at = |seconds: i64, nanos: u64| Timespec { tv_sec: seconds, tv_nsec: nanos as _ };
    Timestamps {
        last_access: at(stat.st_atime, stat.st_atime_nsec),
        last_modification: at(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Extended attributes, as far as the target takes them. Overlay's own mean something in a layer only.
fn attributes(from: impl AsFd, to: impl AsFd, overlay_marks: bool) {
    let mut names = vec![0u8; 16 << 10];
    let Ok(length) = flistxattr(from.as_fd(), names.as_mut_slice()) else { return };
    for name in names.get(..length).unwrap_or_default().split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mark = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
        if mark && !overlay_marks {
            continue;
        }
        let mut value = vec![0u8; 64 << 10];
        if let Ok(n) = fgetxattr(from.as_fd(), name, value.as_mut_slice()) {
            let _ = fsetxattr(to.as_fd(), name, value.get(..n).unwrap_or_default(), XattrFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_tree_keeps_modes_links_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("data/sub")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("data/sub/file"), b"content").unwrap();
        fs::set_permissions(from.join("data/sub/file"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(from.join("data/sub/file"), from.join("data/second")).unwrap();
        std::os::unix::fs::symlink("sub/file", from.join("data/link")).unwrap();
        from_layers(std::slice::from_ref(&from), "/data", &to).unwrap();
        assert_eq!(fs::read(to.join("link")).unwrap(), b"content");
        let (a, b) = (fs::metadata(to.join("sub/file")).unwrap(), fs::metadata(to.join("second")).unwrap());
        assert_eq!(a.ino(), b.ino());
        assert_eq!(a.permissions().mode() & 0o777, 0o640);
        from_layers(&[from], "/missing", &to).unwrap();
    }
}
