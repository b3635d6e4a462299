//! Mounts by descriptor.

use std::ffi::{CStr, c_int, c_uint};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::check;

/// Attributes of a mount (mount_setattr(2)).
pub(crate) mod attr {
    pub(crate) const RDONLY: u64 = 0x1;
    pub(crate) const NOSUID: u64 = 0x2;
    pub(crate) const NODEV: u64 = 0x4;
    pub(crate) const NOEXEC: u64 = 0x8;
    /// The field of the three ways to keep access times; it is set as a whole.
    pub(crate) const ATIME: u64 = 0x70;
    pub(crate) const NOATIME: u64 = 0x10;
    pub(crate) const STRICTATIME: u64 = 0x20;
    pub(crate) const NODIRATIME: u64 = 0x80;
    pub(crate) const NOSYMFOLLOW: u64 = 0x20_0000;
    pub(crate) const IDMAP: u64 = 0x10_0000;
}

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes to a mount.
#[derive(Default, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// Attributes to set.
    pub(crate) set: u64,
    /// Attributes to clear.
    pub(crate) clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0 to leave it.
    pub(crate) propagation: u64,
    /// Map ids through this user namespace.
    pub(crate) idmap: Option<BorrowedFd<'a>>,
    /// Also all mounts below.
    pub(crate) recursive: bool,
}

/// mount_setattr(2) on the mount whose root `fd` is.
pub(crate) fn set_attributes(fd: BorrowedFd<'_>, change: Change<'_>) -> Result<(), Errno> {
    let mut attributes =
        MountAttr { set: change.set, clear: change.clear, propagation: change.propagation, ..MountAttr::default() };
    if let Some(userns) = change.idmap {
        attributes.set |= attr::IDMAP;
        attributes.userns_fd = userns.as_raw_fd() as u64;
    }
    if attributes.set == 0 && attributes.clear == 0 && attributes.propagation == 0 {
        return Ok(());
    }
    let flags = libc::AT_EMPTY_PATH | if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // JUSTIFICATION: no safe wrapper offers mount_setattr.
    // SAFETY: the path is an empty constant string; `attributes` outlives the call and its size is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags as c_uint,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// A detached copy of the mount at `path` below `dir` (open_tree(2) with `OPEN_TREE_CLONE`). Never follows a symbolic
/// link in the last component. An empty path means `dir` itself.
pub(crate) fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    open_tree(dir.as_raw_fd(), path, recursive, libc::AT_SYMLINK_NOFOLLOW)
}

/// As [`clone_tree`], for a path on the host, whose symbolic links are followed.
pub(crate) fn clone_host_tree(path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    open_tree(libc::AT_FDCWD, path, recursive, 0)
}

fn open_tree(dir: RawFd, path: &CStr, recursive: bool, flags: c_int) -> Result<OwnedFd, Errno> {
    const OPEN_TREE_CLONE: c_int = 1;
    let flags = flags
        | OPEN_TREE_CLONE
        | libc::O_CLOEXEC
        | if recursive { libc::AT_RECURSIVE } else { 0 }
        | if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    // JUSTIFICATION: AT_RECURSIVE and AT_EMPTY_PATH in one place, without an allocation for the path.
    // SAFETY: `path` is nul-terminated and outlives the call; on success the kernel returns a new descriptor.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags as c_uint))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Attaches the detached mount `mount` at `name` below `dir`, without following a symbolic link. An empty name means
/// `dir` itself.
pub(crate) fn attach(mount: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    move_mount(mount, dir.as_raw_fd(), name)
}

/// Attaches on top of this process's root directory.
pub(crate) fn attach_over_root(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    move_mount(mount, libc::AT_FDCWD, c"/")
}

fn move_mount(mount: BorrowedFd<'_>, dir: RawFd, name: &CStr) -> Result<(), Errno> {
    const FROM_EMPTY_PATH: c_uint = 0x4;
    const TO_EMPTY_PATH: c_uint = 0x40;
    let flags = FROM_EMPTY_PATH | if name.is_empty() { TO_EMPTY_PATH } else { 0 };
    // JUSTIFICATION: as for open_tree.
    // SAFETY: both paths are nul-terminated and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), dir, name.as_ptr(), flags) })
        .map(drop)
}

/// mount(2). `target` should be a `/proc/self/fd/N` path of a descriptor, so that nothing is resolved twice.
pub(crate) fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Result<(), Errno> {
    // JUSTIFICATION: one call mounts a simple file system, where the descriptor interface needs six.
    // SAFETY: all strings are nul-terminated and outlive the call.
    check(
        unsafe {
            libc::mount(source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags as libc::c_ulong, data.as_ptr().cast())
        }
        .into(),
    )
    .map(drop)
}
