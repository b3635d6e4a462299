//! Whiteouts: how a layer says that something of the layers below is gone.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, XattrFlags, fsetxattr, mknodat, openat};
use rustix::io::Errno;

use super::dirs::{CleanPath, open_dir};
use super::remove::{list, remove_at};
use super::unpack::{Unpacker, failed, is_union_metadata};
use super::{WHITEOUT_OPAQUE, WHITEOUT_PREFIX, Whiteouts};
use crate::error::{ImageError, Result, shown};
use crate::tar::Entry;

impl Unpacker<'_> {
    /// An entry with a whiteout's name somewhere in its path.
    pub(super) fn whiteout(&mut self, path: &CleanPath, entry: &Entry) -> Result<()> {
        let Some(victim) = path.base().strip_prefix(WHITEOUT_PREFIX) else {
            return Err(ImageError::entry(&entry.path, "it lies in a directory with the name of a whiteout"));
        };
        if path.parent().split(|b| *b == b'/').any(|name| name.starts_with(WHITEOUT_PREFIX)) {
            return Err(ImageError::entry(&entry.path, "it lies in a directory with the name of a whiteout"));
        }
        if path.base() == WHITEOUT_OPAQUE {
            self.report.whiteouts += 1;
            return self.opaque(path, entry);
        }
        if is_union_metadata(path.base()) {
            self.note(|| format!("`{}` left out: it is metadata of an old union file system", shown(&entry.path)));
            return Ok(());
        }
        if matches!(victim, b"" | b"." | b"..") {
            return Err(ImageError::entry(&entry.path, "it is a whiteout of nothing"));
        }
        self.report.whiteouts += 1;
        let victim = victim.to_vec();
        if self.options.whiteouts == Whiteouts::Apply {
            return self.apply_whiteout(path, &victim, entry);
        }
        let parent = self.dirs.get_or_make(path.parent(), &entry.path)?;
        match mknodat(&parent, victim.as_slice(), FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The layer also makes this name: it hides what is below, and a directory must not merge with it.
            Err(Errno::EXIST) => match open_inner(&parent, &victim) {
                Ok(dir) => self.set_opaque(&dir, entry),
                Err(Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(()),
                Err(e) => Err(failed("open", entry)(e)),
            },
            Err(e) => Err(failed("create", entry)(e)),
        }
    }

    fn opaque(&mut self, path: &CleanPath, entry: &Entry) -> Result<()> {
        if self.options.whiteouts == Whiteouts::Apply {
            return match open_dir(self.root, path.parent(), OFlags::RDONLY) {
                Ok(dir) => {
                    self.dirs.forget();
                    self.remove_foreign(&dir, path.parent()).map_err(failed("empty", entry))
                }
                Err(Errno::NOENT) => Ok(()),
                Err(e) => Err(failed("open", entry)(e)),
            };
        }
        if path.parent().is_empty() {
            self.report.root_opaque = true;
            return Ok(());
        }
        drop(self.dirs.get_or_make(path.parent(), &entry.path)?);
        let dir = open_dir(self.root, path.parent(), OFlags::RDONLY).map_err(failed("open", entry))?;
        self.set_opaque(&dir, entry)
    }

    /// Marks a directory so that overlayfs shows nothing of the layers below in it.
    pub(super) fn set_opaque(&self, dir: &OwnedFd, entry: &Entry) -> Result<()> {
        let name = match self.options.whiteouts {
            Whiteouts::Overlay => "trusted.overlay.opaque",
            Whiteouts::OverlayUser => "user.overlay.opaque",
            Whiteouts::Apply | Whiteouts::Literal => return Ok(()),
        };
        fsetxattr(dir, name, b"y", XattrFlags::empty()).map_err(failed("mark as opaque", entry))
    }

    fn apply_whiteout(&mut self, path: &CleanPath, victim: &[u8], entry: &Entry) -> Result<()> {
        if self.created.contains(&path.sibling(victim)) {
            return Ok(());
        }
        let parent = match open_dir(self.root, path.parent(), OFlags::PATH) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(e) => return Err(failed("open", entry)(e)),
        };
        self.remove(&parent, victim, entry)
    }

    /// Removes what this layer did not make.
    fn remove_foreign(&self, dir: &OwnedFd, path: &[u8]) -> rustix::io::Result<()> {
        for (name, kind) in list(dir)? {
            let inner_path = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
            if !self.created.contains(&inner_path) {
                remove_at(dir, &name)?;
            } else if kind == FileType::Directory {
                self.remove_foreign(&open_inner(dir, &name)?, &inner_path)?;
            }
        }
        Ok(())
    }
}

fn open_inner(parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}
