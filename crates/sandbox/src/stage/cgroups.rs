//! The container's view of its own cgroup.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, mkdirat, symlinkat};
use rustix::io::Errno;

use super::options::{attributes, set_bits};
use super::target::{self, Links, Want};
use super::{Stage, host_path};
use crate::error::Result;
use crate::sys::mount::{self, Change, attr};
use crate::{Mount, SandboxError};

impl Stage<'_> {
    /// Binds the container's group of each hierarchy in use: with cgroup v2 alone at the target itself, otherwise in
    /// directories named after the controllers on a tmpfs. A bind needs no cgroup namespace and shows nothing above the
    /// group. Without a group of its own the container sees an empty directory.
    pub(super) fn cgroups(&self, mount: &Mount) -> Result<()> {
        let Some(cgroup) = self.cgroup else { return self.nothing(mount).map(drop) };
        let view = cgroup.view();
        match view.as_slice() {
            [] => self.nothing(mount).map(drop),
            [only] if only.names.is_empty() => {
                let place = self.place(&mount.target, Want::Directory, Links::None)?;
                self.bind_group(mount, &only.dir, place.as_fd(), c"")
            }
            several => {
                let error = |source| SandboxError::Mount {
                    kind: "cgroup directory".to_owned(),
                    target: mount.target.clone(),
                    source,
                };
                let shelf = self.shelf(mount)?;
                for group in several {
                    let first = group.names.first().map_or("unified", String::as_str);
                    mkdirat(&shelf, first, Mode::from_raw_mode(0o755)).map_err(error)?;
                    for alias in group.names.iter().skip(1) {
                        symlinkat(first, &shelf, alias.as_str()).map_err(error)?;
                    }
                    let name = std::ffi::CString::new(first).map_err(|_| error(Errno::INVAL))?;
                    self.bind_group(mount, &group.dir, shelf.as_fd(), &name)?;
                }
                self.seal(mount, &shelf)
            }
        }
    }

    fn bind_group(
        &self,
        mount: &Mount,
        dir: &Path,
        base: std::os::fd::BorrowedFd<'_>,
        name: &std::ffi::CStr,
    ) -> Result<()> {
        let error = |source| SandboxError::Mount {
            kind: format!("cgroup {}", dir.display()),
            target: mount.target.clone(),
            source,
        };
        let path = host_path(dir).ok_or(Errno::INVAL).map_err(error)?;
        let tree = mount::clone_host_tree(&path, false).map_err(error)?;
        let change = Change { set: attributes(mount.flags), ..Change::default() };
        mount::set_attributes(tree.as_fd(), change).map_err(error)?;
        set_bits(tree.as_fd(), mount.flags).map_err(error)?;
        mount::attach(tree.as_fd(), base, name).map_err(error)
    }

    fn nothing(&self, mount: &Mount) -> Result<OwnedFd> {
        self.simple(mount, "tmpfs", "cgroup", "size=0,nr_inodes=2,mode=755")
    }

    /// A small writable tmpfs at the target; its root.
    fn shelf(&self, mount: &Mount) -> Result<OwnedFd> {
        let mut writable = mount.clone();
        writable.flags.readonly = false;
        writable.flags.bits.set &= !attr::RDONLY;
        self.simple(&writable, "tmpfs", "cgroup", "size=64k,nr_inodes=64,mode=755")?;
        let start = self.start(&mount.target);
        target::open(start.base, &start.rest, Links::None).map_err(|source| SandboxError::Mount {
            kind: "cgroup directory".to_owned(),
            target: mount.target.clone(),
            source,
        })
    }

    fn seal(&self, mount: &Mount, shelf: &OwnedFd) -> Result<()> {
        let change = Change { set: attributes(mount.flags), ..Change::default() };
        mount::set_attributes(shelf.as_fd(), change).and_then(|()| set_bits(shelf.as_fd(), mount.flags)).map_err(
            |source| SandboxError::Mount { kind: "cgroup directory".to_owned(), target: mount.target.clone(), source },
        )
    }
}
