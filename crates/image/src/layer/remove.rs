//! Removes trees, without ever following a symbolic link.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::error::{ImageError, Result};

/// Directories that are open at the same time. A container may nest directories without end; descriptors and the
/// stack do not.
const MAX_OPEN: u32 = 128;

/// Removes `path` and everything beneath it. A path that is not there is no error.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    remove_at(CWD, path.as_os_str().as_encoded_bytes()).map_err(ImageError::on("remove", path))
}

/// Removes `name` in `dir`, a file or a whole tree. Directories that deny access (of a layer that was unpacked
/// without root) are opened up first.
pub(super) fn remove_at(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<()> {
    if unlink_or_rmdir(&dir, name)? {
        return Ok(());
    }
    let inner = open_writable(&dir, name)?;
    remove_content(&inner)?;
    unlinkat(&dir, name, AtFlags::REMOVEDIR)
}

/// Removes everything in `dir`, not `dir` itself.
pub(super) fn remove_content(dir: &OwnedFd) -> rustix::io::Result<()> {
    while clear(dir, dir, 0)? {}
    Ok(())
}

/// One pass over `dir`. What lies deeper than [`MAX_OPEN`] is moved up to `top`; true if another pass must follow.
fn clear(top: &OwnedFd, dir: &OwnedFd, depth: u32) -> rustix::io::Result<bool> {
    let mut moved = false;
    for (name, _) in list(dir)? {
        if unlink_or_rmdir(dir, &name)? {
            continue;
        }
        if depth >= MAX_OPEN {
            renameat(dir, &name, top, stockade_durable::temporary_name())?;
            moved = true;
            continue;
        }
        let inner = open_writable(dir, &name)?;
        moved |= clear(top, &inner, depth + 1)?;
        unlinkat(dir, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(moved)
}

/// True if `name` is gone: it was no directory, or an empty one, or not there.
fn unlink_or_rmdir(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<bool> {
    match unlinkat(&dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e),
    }
    match unlinkat(&dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(e) => Err(e),
    }
}

fn open_writable(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(&dir, name, flags, Mode::empty());
    let closed = match &opened {
        Err(Errno::ACCESS) => true,
        Ok(fd) => {
            rustix::fs::fstat(fd).is_ok_and(|s| s.st_mode & 0o300 != 0o300) && !rustix::process::geteuid().is_root()
        }
        Err(_) => false,
    };
    if !closed {
        return opened;
    }
    chmodat(&dir, name, Mode::RWXU, AtFlags::empty())?;
    openat(&dir, name, flags, Mode::empty())
}

/// Names in a directory, without `.` and `..`, unsorted.
pub(super) fn list(dir: impl AsFd) -> rustix::io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_descriptors_and_paths_go_is_removed() {
        let top = tempfile::tempdir().unwrap();
        let victim = top.path().join("victim");
        std::fs::create_dir(&victim).unwrap();
        let mut dir = OwnedFd::from(std::fs::File::open(&victim).unwrap());
        for _ in 0..400 {
            rustix::fs::mkdirat(&dir, "d", Mode::RWXU).unwrap();
            dir = openat(&dir, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        std::os::unix::fs::symlink("/", victim.join("link")).unwrap();
        remove_tree(&victim).unwrap();
        remove_tree(&victim).unwrap();
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 0);
    }
}
