//! A container's root as one tree, without mounting it anywhere: a detached overlay that goes away with its
//! descriptor (fsmount(2)). Nothing is left behind when the process dies.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use crate::error::{EngineError, system_error};

/// Where changes go; without it the tree is read-only.
pub(crate) struct Writable<'a> {
    pub upper: &'a Path,
    pub work: &'a Path,
}

/// Opens the tree of `lower` (topmost first), with or without a writable layer.
pub(crate) fn open(lower: &[PathBuf], writable: Option<&Writable<'_>>) -> Result<OwnedFd, EngineError> {
    let failed = || system_error("put the container's layers together");
    // A single read-only directory needs no overlay (which wants two layers then).
    if let (None, [only]) = (writable, lower) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        return rustix::fs::open(only, flags, Mode::empty()).map_err(failed());
    }
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed())?;
    for dir in lower {
        fsconfig_set_string(fs.as_fd(), "lowerdir+", dir.as_os_str().as_bytes()).map_err(failed())?;
    }
    if let Some(w) = writable {
        fsconfig_set_string(fs.as_fd(), "upperdir", w.upper.as_os_str().as_bytes()).map_err(failed())?;
        fsconfig_set_string(fs.as_fd(), "workdir", w.work.as_os_str().as_bytes()).map_err(failed())?;
    } else {
        fsconfig_set_flag(fs.as_fd(), "ro").map_err(failed())?;
    }
    fsconfig_create(fs.as_fd()).map_err(failed())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed())
}

/// Opens `path` beneath `root`; links are followed as inside the container and never lead out.
pub(crate) fn open_beneath(root: impl AsFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let path = path.trim_start_matches('/');
    let path = if path.is_empty() { "." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename raced with `..`: the kernel asks to try again (openat2(2)).
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            other => return other.map_err(Into::into),
        }
    }
}
