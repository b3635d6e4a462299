//! Hidden and read-only paths.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, StatxFlags, statx};
use rustix::io::Errno;

use super::{Stage, dev, fd_path, target};
use crate::SandboxError;
use crate::error::Result;
use crate::sys::mount::{self, Change, attr};

const NOTHING: u64 = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

impl Stage<'_> {
    /// Covers each masked path: files by the null device, directories by an empty read-only tmpfs.
    pub(super) fn masked_paths(&self) -> Result<()> {
        let mut null = None;
        for path in &self.plan.masked_paths {
            self.mask(path, &mut null).map_err(|e| named(e, "mask", path))?;
        }
        Ok(())
    }

    fn mask(&self, path: &str, null: &mut Option<OwnedFd>) -> Result<()> {
        let failed = |e| named(SandboxError::system("")(e), "mask", path);
        let start = self.start(path);
        // Below an anchor the kernel alone makes names: no descriptor is needed to hold the place.
        let held = if start.anchored { None } else { self.existing(path)? };
        let (base, name) = match &held {
            Some(place) => (place.as_fd(), ""),
            None if start.anchored => (start.base, start.rest.as_str()),
            None => return Ok(()),
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        let kind = match statx(base, name, flags, StatxFlags::TYPE) {
            Ok(facts) => FileType::from_raw_mode(facts.stx_mode.into()),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        match kind {
            FileType::Directory => {
                mount::mount(c"tmpfs", &fd_path(base, name), c"tmpfs", NOTHING, c"size=0,nr_inodes=2,mode=555")
                    .map_err(failed)
            }
            FileType::Symlink => Err(SandboxError::Target {
                target: path.to_owned(),
                why: "it is a symbolic link; a mask would cover what it points to".to_owned(),
            }),
            _ => {
                if null.is_none() {
                    *null = Some(dev::host_null().map_err(SandboxError::path("use", "/dev/null"))?);
                }
                let null = null.as_ref().ok_or(Errno::NODEV).map_err(failed)?;
                let cover = mount::clone_tree(null.as_fd(), c"", false).map_err(failed)?;
                let name = std::ffi::CString::new(name).map_err(|_| failed(Errno::INVAL))?;
                mount::attach(cover.as_fd(), base, &name).map_err(failed)
            }
        }
    }

    /// Binds each read-only path over itself, read-only.
    pub(super) fn readonly_paths(&self) -> Result<()> {
        self.plan.readonly_paths.iter().try_for_each(|path| self.readonly(path))
    }

    fn readonly(&self, path: &str) -> Result<()> {
        let failed = |e| named(SandboxError::system("")(e), "read-only", path);
        let start = self.start(path);
        let held = if start.anchored { None } else { self.existing(path)? };
        let (base, name) = match &held {
            Some(place) => (place.as_fd(), ""),
            None if start.anchored => (start.base, start.rest.as_str()),
            None => return Ok(()),
        };
        let name = std::ffi::CString::new(name).map_err(|_| failed(Errno::INVAL))?;
        let recursive = held.is_some();
        let tree = match mount::clone_tree(base, &name, recursive) {
            Ok(tree) => tree,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        let directory = target::is_directory(tree.as_fd()).unwrap_or(false);
        let set = attr::RDONLY | if directory { attr::NOSUID | attr::NODEV | attr::NOEXEC } else { 0 };
        let set = if held.is_some() { attr::RDONLY } else { set };
        mount::set_attributes(tree.as_fd(), Change { set, recursive, ..Change::default() }).map_err(failed)?;
        mount::attach(tree.as_fd(), base, &name).map_err(failed)
    }
}

fn named(error: SandboxError, what: &str, path: &str) -> SandboxError {
    match error {
        SandboxError::System { source, .. } => {
            SandboxError::Mount { kind: format!("a {what} cover"), target: path.to_owned(), source }
        }
        other => other,
    }
}
