//! The stage: the container's mount namespace, set up from outside.
//!
//! The helper that runs this (see [`crate::launch`]) is root on the host and alone in the new mount namespace with the
//! waiting child. The namespace belongs to the *initial* user namespace: root inside the container has no rights over
//! its mounts, whatever capabilities it is given in its own user namespace. That is stricter than runc, crun and
//! podman, whose containers own their mount namespace.
//!
//! Every path inside the container is resolved by openat2(2) with `RESOLVE_IN_ROOT` into a descriptor, and mounts are
//! attached to descriptors: a symbolic link in the image can neither lead out nor be swapped in between (CVE-2021-30465).
//! File systems of the kernel (/proc, /sys, /dev) are [anchors](Anchor): what is done below them starts from their own
//! root, after it was checked to be that file system (CVE-2019-16884, CVE-2025-31133).

mod cgroups;
mod copyup;
mod dev;
mod furnish;
mod idmap;
mod kernel;
mod masks;
mod options;
mod overlay;
mod root;
mod target;

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::io::Errno;

pub(crate) use dev::{Terminal, terminal_in};
pub(crate) use idmap::map_of as id_map_of;
pub(crate) use kernel::sysctl_is_namespaced;
pub(crate) use root::{open as open_root, open_bundle as open_bundle_root};

use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::sys::mount::{self, Change, attr};
use crate::{IdMap, Mount, MountKind, Namespace, Plan, Propagation, SandboxError};
use options::{attributes, classic_flags, propagation, set_bits};

/// A file system of the kernel that we mounted, by its path in the container.
struct Anchor {
    path: String,
    root: OwnedFd,
}

/// The stage while it is being set.
pub(crate) struct Stage<'a> {
    plan: &'a Plan,
    cgroup: Option<&'a Cgroup>,
    /// User namespace for idmapped mounts.
    userns: Option<BorrowedFd<'a>>,
    root: OwnedFd,
    anchors: Vec<Anchor>,
    /// Bind sources, cloned before propagation was cut; by position in `plan.mounts`.
    sources: Vec<Option<OwnedFd>>,
    /// Of the pid namespace that /proc shows; `None`: our own.
    pidns: Option<BorrowedFd<'a>>,
    /// Makes the helper a member of the child's network and ipc namespaces, once they exist.
    enter_namespaces: &'a mut dyn FnMut() -> Result<()>,
    terminal: Option<Terminal>,
}

/// What [`Stage::new`] needs beside the plan.
pub(crate) struct Backdrop<'a> {
    pub(crate) cgroup: Option<&'a Cgroup>,
    pub(crate) userns: Option<BorrowedFd<'a>>,
    pub(crate) pidns: Option<BorrowedFd<'a>>,
    pub(crate) enter_namespaces: &'a mut dyn FnMut() -> Result<()>,
}

impl<'a> Stage<'a> {
    /// Attaches `root` (from [`open_root`]) over the helper's root directory, where `sources` came from.
    pub(crate) fn new(
        plan: &'a Plan,
        root: OwnedFd,
        sources: Vec<Option<OwnedFd>>,
        backdrop: Backdrop<'a>,
    ) -> Result<Self> {
        mount::attach_over_root(root.as_fd()).map_err(SandboxError::system("attach the root file system"))?;
        Ok(Self {
            plan,
            cgroup: backdrop.cgroup,
            userns: backdrop.userns,
            root,
            anchors: Vec::new(),
            sources,
            pidns: backdrop.pidns,
            enter_namespaces: backdrop.enter_namespaces,
            terminal: None,
        })
    }

    /// Does all mounts, devices, masks and settings of the plan, and makes the root what it shall be.
    pub(crate) fn set(&mut self) -> Result<()> {
        for (position, mount) in self.plan.mounts.iter().enumerate() {
            self.mount(position, mount)?;
        }
        self.devices()?;
        if self.plan.extra.furnish_dev {
            self.furnish()?;
        }
        if self.plan.process.terminal.is_some() && self.terminal.is_none() {
            return Err(self.invalid("a terminal needs a /dev with a mount of devpts in it".to_owned()));
        }
        self.working_directory()?;
        self.sysctls()?;
        self.readonly_paths()?;
        self.masked_paths()?;
        self.close_dev()?;
        if root::is_readonly(&self.plan.root) {
            let change = Change { set: attr::RDONLY, ..Change::default() };
            mount::set_attributes(self.root.as_fd(), change)
                .map_err(SandboxError::system("make the root file system read-only"))?;
        }
        Ok(())
    }

    /// Makes the stage the root directory of every process in this mount namespace. The old root stays mounted below
    /// the helper's working directory until [`drop_old_root`].
    pub(crate) fn pivot(&self) -> Result<()> {
        rustix::process::fchdir(&self.root).map_err(SandboxError::system("enter the container's root"))?;
        rustix::process::pivot_root(c".", c".").map_err(SandboxError::system("pivot into the container's root"))
    }

    /// Gives the root directory's descriptor up, for [`drop_old_root`].
    pub(crate) fn into_root(self) -> OwnedFd {
        self.root
    }

    /// Makes the helper a member of the container's namespaces.
    pub(crate) fn enter_namespaces(&mut self) -> Result<()> {
        (self.enter_namespaces)()
    }

    /// The root mount's own propagation, after the pivot, which takes no shared mounts.
    pub(crate) fn root_propagation(&self) -> Result<()> {
        let Some(wanted) = self.plan.extra.root_propagation.filter(|p| *p != Propagation::Slave) else { return Ok(()) };
        let change = Change { propagation: propagation(wanted), ..Change::default() };
        mount::set_attributes(self.root.as_fd(), change)
            .map_err(SandboxError::system("set the propagation of the root file system"))
    }

    /// The terminal made with /dev.
    pub(crate) fn take_terminal(&mut self) -> Option<Terminal> {
        self.terminal.take()
    }

    fn mount(&mut self, position: usize, mount: &Mount) -> Result<()> {
        match &mount.kind {
            MountKind::Bind { .. } | MountKind::MappedBind { .. } => self.bind(position, mount),
            MountKind::Tmpfs { size_bytes, mode } => {
                let size = size_bytes.map_or_else(String::new, |bytes| format!("size={bytes},"));
                self.simple(mount, "tmpfs", "tmpfs", &format!("{size}mode={mode:o}")).map(drop)
            }
            MountKind::Proc { hidepid, only_pids } => self.proc(mount, *hidepid, *only_pids),
            MountKind::Sysfs => self.sysfs(mount, "sysfs", ""),
            MountKind::Dev { shm_bytes } => self.dev(mount, *shm_bytes),
            MountKind::Cgroup => self.cgroups(mount),
            MountKind::Other { fstype, source, data } => self.other(mount, fstype, source, data),
        }
    }

    /// Attaches a bind source, which may be a directory or anything else.
    fn bind(&mut self, position: usize, mount: &Mount) -> Result<()> {
        let (source, recursive, idmapped) = match &mount.kind {
            MountKind::Bind { source, recursive, idmapped } => (source, recursive, idmapped),
            MountKind::MappedBind { source, recursive, .. } => (source, recursive, &true),
            _ => return Ok(()),
        };
        let kind = || format!("bind of {}{}", source.display(), if *idmapped { " (idmapped)" } else { "" });
        let error = |source| SandboxError::Mount { kind: kind(), target: mount.target.clone(), source };
        let tree = self.sources.get_mut(position).and_then(Option::take).ok_or_else(|| error(Errno::BADF))?;
        let directory = target::is_directory(tree.as_fd()).map_err(error)?;
        let want = if directory { target::Want::Directory } else { target::Want::File };
        let place = self.place(&mount.target, want, target::Links::Inside)?;
        let change = Change {
            set: attributes(mount.flags),
            propagation: propagation(mount.flags.propagation),
            idmap: if *idmapped && !matches!(mount.kind, MountKind::MappedBind { .. }) { self.userns } else { None },
            recursive: *recursive,
            ..Change::default()
        };
        mount::set_attributes(tree.as_fd(), change).map_err(error)?;
        self.map_bind(mount, tree.as_fd()).map_err(error)?;
        set_bits(tree.as_fd(), mount.flags).map_err(error)?;
        mount::attach(tree.as_fd(), place.as_fd(), c"").map_err(error)
    }

    /// Mounts a file system that needs nothing but its name and options; returns the directory that is now covered.
    fn simple(&self, mount: &Mount, fstype: &str, source: &str, data: &str) -> Result<OwnedFd> {
        let links = if matches!(mount.kind, MountKind::Tmpfs { .. } | MountKind::Other { .. }) {
            target::Links::Inside
        } else {
            target::Links::None
        };
        let place = self.place(&mount.target, target::Want::Directory, links)?;
        self.mount_on(mount, &fd_path(place.as_fd(), ""), fstype, source, data)?;
        Ok(place)
    }

    /// mount(2) on a `/proc/self/fd` path, with the mount's flags.
    fn mount_on(&self, mount: &Mount, place: &CStr, fstype: &str, source: &str, data: &str) -> Result<()> {
        let error = |source| SandboxError::Mount { kind: fstype.to_owned(), target: mount.target.clone(), source };
        let string = |s: &str| CString::new(s).map_err(|_| error(Errno::INVAL));
        mount::mount(&string(source)?, place, &string(fstype)?, classic_flags(mount.flags), &string(data)?)
            .map_err(error)
    }

    fn ids(&self) -> Option<&IdMap> {
        self.plan.id_map.as_ref().filter(|_| self.plan.namespaces.user != Namespace::Host)
    }

    /// The host's group id of group `inside`, if it has one.
    fn host_gid(&self, inside: u32) -> Option<u32> {
        self.ids().map_or(Some(inside), |map| map.host_gid(inside))
    }

    fn host_uid(&self, inside: u32) -> Option<u32> {
        self.ids().map_or(Some(inside), |map| map.host_uid(inside))
    }

    fn invalid(&self, why: String) -> SandboxError {
        SandboxError::InvalidPlan { id: self.plan.id.clone(), why }
    }

    fn working_directory(&self) -> Result<()> {
        if target::components(&self.plan.process.cwd).next().is_none() {
            return Ok(());
        }
        self.place(&self.plan.process.cwd, target::Want::Directory, target::Links::Inside).map(drop)
    }
}

/// Clones the host's side of every bind mount. Must happen before propagation is cut, so that a source whose mount
/// shall stay a slave or a peer of the host's can be.
pub(crate) fn open_sources(plan: &Plan) -> Result<Vec<Option<OwnedFd>>> {
    plan.mounts
        .iter()
        .map(|mount| {
            let (MountKind::Bind { source, recursive, .. } | MountKind::MappedBind { source, recursive, .. }) =
                &mount.kind
            else {
                return Ok(None);
            };
            let error = |e| SandboxError::Mount {
                kind: format!("bind of {}", source.display()),
                target: mount.target.clone(),
                source: e,
            };
            let path = host_path(source).ok_or(Errno::INVAL).map_err(error)?;
            let tree = mount::clone_host_tree(&path, *recursive).map_err(error)?;
            idmap::map_source(mount, tree.as_fd()).map_err(|e| SandboxError::Mount {
                kind: format!("bind of {} (idmapped)", source.display()),
                target: mount.target.clone(),
                source: e,
            })?;
            Ok(Some(tree))
        })
        .collect()
}

/// Cuts this mount namespace off the host's, so that nothing mounted here shows there.
pub(crate) fn cut_propagation() -> Result<()> {
    mount::mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE, c"")
        .map_err(SandboxError::system("make the mount namespace private"))
}

/// Unmounts everything that was the host's, and makes sure of it: whatever had been mounted over the host's own root
/// directory would otherwise be left in the container with all of the host below it. `root` is the container's root;
/// the working directory must still be where [`Stage::pivot`] left it.
pub(crate) fn drop_old_root(root: BorrowedFd<'_>) -> Result<()> {
    let error = SandboxError::system("unmount the host's root from the container");
    let mount_of = |dir: BorrowedFd<'_>, path: &CStr| {
        let facts = statx(dir, path, AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        Ok(facts.stx_mnt_id)
    };
    let unmount = || {
        let own = mount_of(root, c"")?;
        for _ in 0..MAX_STACKED_ROOTS {
            rustix::mount::unmount(c".", rustix::mount::UnmountFlags::DETACH)?;
            // `/..` is what is on top of the root directory.
            if mount_of(rustix::fs::CWD, c"/..")? == own {
                return Ok(());
            }
        }
        Err(Errno::BUSY)
    };
    unmount().map_err(error)
}

/// More mounts than this over one another on the host's root directory are a mistake somewhere.
const MAX_STACKED_ROOTS: usize = 32;

/// `/proc/self/fd/N` or `/proc/self/fd/N/name`: the kernel goes to the descriptor's own place, whatever is named how.
fn fd_path(fd: BorrowedFd<'_>, name: &str) -> CString {
    let slash = if name.is_empty() { "" } else { "/" };
    // No nul byte: a number and a constant or checked name.
    CString::new(format!("/proc/self/fd/{}{slash}{name}", fd.as_raw_fd())).unwrap_or_default()
}

pub(crate) fn host_path(path: &std::path::Path) -> Option<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).ok()
}
