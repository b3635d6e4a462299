//! Bind mounts with an id mapping of their own (runtime-spec, `mounts[].uidMappings`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::Stage;
use crate::error::errno;
use crate::sys::clone::{self, Fork};
use crate::sys::mount::{self, Change};
use crate::sys::task;
use crate::{IdMap, IdRange, Mount, MountKind};

impl Stage<'_> {
    /// Maps the ids of a detached bind by the plan's mapping, if it asks for that.
    pub(super) fn map_bind(&self, mount: &Mount, tree: BorrowedFd<'_>) -> Result<(), Errno> {
        let MountKind::MappedBind { map: None, map_recursively, .. } = &mount.kind else { return Ok(()) };
        if self.ids().is_some_and(IdMap::is_identity) {
            return Ok(());
        }
        let userns = self.userns.ok_or(Errno::INVAL)?;
        mount::set_attributes(tree, Change { idmap: Some(userns), recursive: *map_recursively, ..Change::default() })
    }
}

/// Maps the ids of a detached bind that has a mapping of its own. Must happen while the caller's root directory is the
/// mount namespace's: the kernel makes no user namespaces for others.
pub(super) fn map_source(mount: &Mount, tree: BorrowedFd<'_>) -> Result<(), Errno> {
    let MountKind::MappedBind { map: Some(map), map_recursively, .. } = &mount.kind else { return Ok(()) };
    let userns = user_namespace(map)?;
    let change = Change { idmap: Some(userns.as_fd()), recursive: *map_recursively, ..Change::default() };
    mount::set_attributes(tree, change)
}

/// The mapping of an existing user namespace, as this process sees it.
pub(crate) fn map_of(path: &std::path::Path) -> Result<IdMap, Errno> {
    let namespace = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let (entered, enters) = pipe_with(PipeFlags::CLOEXEC)?;
    let (pid, pidfd) = match clone::fork(0, None)? {
        Fork::Child => {
            task::close_raw(std::os::fd::AsRawFd::as_raw_fd(&write));
            if task::setns(namespace.as_fd(), libc::CLONE_NEWUSER).is_ok() {
                let _ = rustix::io::write(&enters, b"!");
            }
            task::close_raw(std::os::fd::AsRawFd::as_raw_fd(&enters));
            let _ = rustix::io::read(&read, &mut [0u8; 1]);
            task::exit(0)
        }
        Fork::Parent(pid, pidfd) => (pid, pidfd),
    };
    drop(enters);
    let is_in = rustix::io::retry_on_intr(|| rustix::io::read(&entered, &mut [0u8; 1]));
    let ranges = |file: &str| -> Result<Vec<IdRange>, Errno> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| errno(&e))?;
        Ok(text.lines().filter_map(range).collect())
    };
    let map = match is_in {
        Ok(1) => ranges("uid_map").and_then(|uid| Ok(IdMap { uid, gid: ranges("gid_map")? })),
        Ok(_) => Err(Errno::INVAL),
        Err(e) => Err(e),
    };
    drop(write);
    task::wait_pidfd(pidfd.as_fd(), true)?;
    map
}

/// `inside outside count`.
fn range(line: &str) -> Option<IdRange> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(IdRange { inside: next()?, outside: next()?, count: next()? })
}

/// A user namespace with this mapping, held by nothing but the descriptor.
fn user_namespace(map: &IdMap) -> Result<OwnedFd, Errno> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let (pid, pidfd) = match clone::fork(libc::CLONE_NEWUSER, None)? {
        Fork::Child => {
            task::close_raw(std::os::fd::AsRawFd::as_raw_fd(&write));
            let _ = rustix::io::read(&read, &mut [0u8; 1]);
            task::exit(0)
        }
        Fork::Parent(pid, pidfd) => (pid, pidfd),
    };
    let (uid, gid) = map.files();
    let made = || {
        std::fs::write(format!("/proc/{pid}/uid_map"), uid).map_err(|e| errno(&e))?;
        std::fs::write(format!("/proc/{pid}/gid_map"), gid).map_err(|e| errno(&e))?;
        openat(CWD, format!("/proc/{pid}/ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    };
    let made = made();
    drop(write);
    task::wait_pidfd(pidfd.as_fd(), true)?;
    made
}
