//! Compares two directories that should hold the same layer.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};

use super::remove::list;
use super::xattrs::Xattrs;
use crate::error::{ImageError, Result, shown};

/// Differences that are told; more of them say nothing new.
const MAX_TOLD: usize = 5;
/// Bytes that are compared at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// How `found` differs from `wanted`: names, kinds, modes, owners (unless `any_owner`), link targets, attributes and
/// content; at most a few lines. Times do not count, nor what never comes into a layer (sockets, device nodes).
///
/// Errors: a directory that cannot be read.
pub(crate) fn differences(wanted: BorrowedFd<'_>, found: BorrowedFd<'_>, any_owner: bool) -> Result<Vec<String>> {
    let mut compare = Compare { any_owner, told: Vec::new(), xattrs: (Xattrs::default(), Xattrs::default()) };
    compare.attributes(wanted, found, b"/")?;
    compare.directories(wanted, found, b"")?;
    Ok(compare.told)
}

struct Compare {
    any_owner: bool,
    told: Vec<String>,
    xattrs: (Xattrs, Xattrs),
}

impl Compare {
    fn tell(&mut self, path: &[u8], what: &str) {
        self.told.push(format!("`{}` {what}", shown(path)));
    }

    fn is_enough(&self) -> bool {
        self.told.len() >= MAX_TOLD
    }

    fn directories(&mut self, wanted: BorrowedFd<'_>, found: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let failed = |e: rustix::io::Errno| ImageError::io("read", shown(path), e.into());
        let mut names = list(reopen(wanted).map_err(failed)?).map_err(failed)?;
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let there = list(reopen(found).map_err(failed)?).map_err(failed)?;
        for (name, _) in &there {
            if names.binary_search_by(|(wanted, _)| wanted.cmp(name)).is_err()
                && statat(found, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|s| belongs(&s))
            {
                self.tell(&[path, b"/", name].concat(), "does not belong to the layer");
            }
        }
        for (name, _) in names {
            if self.is_enough() {
                return Ok(());
            }
            self.entry(wanted, found, &name, &[path, b"/", &name].concat())?;
        }
        Ok(())
    }

    fn entry(&mut self, wanted: BorrowedFd<'_>, found: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
        let failed = |e: rustix::io::Errno| ImageError::io("read", shown(path), e.into());
        let ours = statat(wanted, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let Ok(there) = statat(found, name, AtFlags::SYMLINK_NOFOLLOW) else {
            self.tell(path, "is missing");
            return Ok(());
        };
        let kind = FileType::from_raw_mode(ours.st_mode);
        if kind != FileType::from_raw_mode(there.st_mode) || ours.st_rdev != there.st_rdev {
            self.tell(path, "is of another kind");
            return Ok(());
        }
        if kind != FileType::Symlink && ours.st_mode != there.st_mode {
            self.tell(path, "has another mode");
        }
        if !self.any_owner && (ours.st_uid, ours.st_gid) != (there.st_uid, there.st_gid) {
            self.tell(path, "has another owner");
        }
        match kind {
            FileType::Symlink => {
                let target = |dir| readlinkat(dir, name, Vec::new()).map_err(failed);
                if target(wanted)? != target(found)? {
                    self.tell(path, "leads elsewhere");
                }
                Ok(())
            }
            FileType::Directory => {
                let (a, b) = both(wanted, found, name, OFlags::DIRECTORY).map_err(failed)?;
                self.attributes(a.as_fd(), b.as_fd(), path)?;
                self.directories(a.as_fd(), b.as_fd(), path)
            }
            FileType::RegularFile => {
                if ours.st_size != there.st_size {
                    self.tell(path, "has another length");
                    return Ok(());
                }
                let (a, b) = both(wanted, found, name, OFlags::NONBLOCK).map_err(failed)?;
                self.attributes(a.as_fd(), b.as_fd(), path)?;
                let same = same_content(a, b).map_err(|e| ImageError::io("read", shown(path), e))?;
                if !same {
                    self.tell(path, "has another content");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn attributes(&mut self, wanted: BorrowedFd<'_>, found: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let a = self.xattrs.0.read(wanted, path)?;
        let b = self.xattrs.1.read(found, path)?;
        if a.opaque != b.opaque || a.whiteout != b.whiteout || self.xattrs.0.found != self.xattrs.1.found {
            self.tell(path, "has other extended attributes");
        }
        Ok(())
    }
}

/// Whether something that only the second directory has would have come into a layer.
fn belongs(stat: &Stat) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket | FileType::BlockDevice => false,
        FileType::CharacterDevice => stat.st_rdev == 0,
        _ => true,
    }
}

fn reopen(dir: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn both(
    wanted: BorrowedFd<'_>,
    found: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok((openat(wanted, name, flags, Mode::empty())?, openat(found, name, flags, Mode::empty())?))
}

fn same_content(a: OwnedFd, b: OwnedFd) -> io::Result<bool> {
    let (a, b) = (File::from(a), File::from(b));
    let (mut left, mut right) = (Vec::with_capacity(CHUNK_BYTES), Vec::with_capacity(CHUNK_BYTES));
    loop {
        left.clear();
        right.clear();
        (&a).take(CHUNK_BYTES as u64).read_to_end(&mut left)?;
        (&b).take(CHUNK_BYTES as u64).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn each_difference_is_told() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let told = || {
            let (a, b) = (File::open(a.path()).unwrap(), File::open(b.path()).unwrap());
            differences(a.as_fd(), b.as_fd(), false).unwrap()
        };
        for dir in [&a, &b] {
            fs::create_dir(dir.path().join("d")).unwrap();
            fs::write(dir.path().join("d/same"), "x").unwrap();
            fs::write(dir.path().join("content"), "x").unwrap();
            fs::write(dir.path().join("mode"), "x").unwrap();
            symlink("x", dir.path().join("link")).unwrap();
        }
        assert!(told().is_empty());
        fs::write(b.path().join("content"), "y").unwrap();
        fs::set_permissions(b.path().join("mode"), PermissionsExt::from_mode(0o600)).unwrap();
        fs::remove_file(b.path().join("link")).unwrap();
        symlink("y", b.path().join("link")).unwrap();
        fs::write(b.path().join("d/more"), "").unwrap();
        assert_eq!(
            told(),
            [
                "`/content` has another content",
                "`/d/more` does not belong to the layer",
                "`/link` leads elsewhere",
                "`/mode` has another mode"
            ]
        );
        fs::remove_file(b.path().join("mode")).unwrap();
        assert!(told().contains(&"`/mode` is missing".to_owned()));
    }
}
