//! Layers joined by overlayfs into a detached mount, each layer through an idmapped mount of its own.
//!
//! Layers hold container ids on disk (0 is the container's root) and are the same for every container; the mapping
//! lives in the mounts. overlayfs works with the credentials of whoever mounts: ours has the container root's
//! file-system ids, so that its own files (work directory, copies to the upper layer) have ids the mapping knows.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::root::{clone_mapped, failed};
use crate::SandboxError;
use crate::error::Result;
use crate::sys::mount::{self, Change, attr};
use crate::{old_kernel, rootless};

/// overlayfs takes at most this many lower layers (`OVL_MAX_STACK`).
const MAX_LOWER: usize = 500;

/// The directories of a root.
pub(super) struct Layers<'a> {
    /// Topmost first.
    pub(super) lower: &'a [PathBuf],
    pub(super) upper: &'a Path,
    pub(super) work: &'a Path,
    pub(super) volatile: bool,
}

/// Open directories, in the same order.
struct Opened {
    lower: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
    /// The mounts the directories are seen through; kept until overlayfs has its own copies.
    mounts: Vec<OwnedFd>,
}

pub(super) fn open(layers: &Layers<'_>, userns: Option<BorrowedFd<'_>>, attributes: u64) -> Result<OwnedFd> {
    if layers.lower.is_empty() || layers.lower.len() > MAX_LOWER {
        let why = format!("an overlay needs 1 to {MAX_LOWER} lower layers, not {}", layers.lower.len());
        return Err(SandboxError::InvalidPlan { id: layers.upper.display().to_string(), why });
    }
    let opened = match userns {
        Some(userns) => open_mapped(layers, userns)?,
        None => open_plain(layers)?,
    };
    let joined = if old_kernel::pretended() { Err(Errno::INVAL) } else { join(&opened, layers.volatile, attributes) };
    match joined {
        // Kernels before 6.13 know no layers by descriptor, before 6.15 none on detached mounts.
        Err(Errno::INVAL) => join_by_path(&opened, layers.volatile, attributes),
        other => other,
    }
    .map_err(failed("join layers above", layers.upper))
    .inspect(|_| opened.park(layers.upper))
}

impl Opened {
    /// Attaches the layers' mounts, which have served, over the upper directory as this namespace sees it. They go with
    /// the old root in one unmount; as detached mounts, each would make the kernel wait for all its processors when it
    /// is closed (a fifth of a millisecond). Failing to is no harm.
    fn park(&self, place: &Path) {
        let Ok(place) = directory(CWD, place) else { return };
        for mount in &self.mounts {
            let _ = mount::attach(mount.as_fd(), place.as_fd(), c"");
        }
    }
}

fn open_plain(layers: &Layers<'_>) -> Result<Opened> {
    let dir = |path: &Path| directory(CWD, path).map_err(failed("open layer", path));
    Ok(Opened {
        lower: layers.lower.iter().map(|l| dir(l)).collect::<Result<_>>()?,
        upper: dir(layers.upper)?,
        work: dir(layers.work)?,
        mounts: Vec::new(),
    })
}

fn directory(base: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    openat(base, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// One mapped mount of the directory above all layers serves them all, where they are on one file system. A layer that
/// cannot be reached through it (another mount, a symbolic link) gets a mount of its own.
fn open_mapped(layers: &Layers<'_>, userns: BorrowedFd<'_>) -> Result<Opened> {
    let mapped = |path: &Path| clone_mapped(path, Some(userns), 0).map_err(failed("map the ids of", path));
    // overlayfs wants upper and work to be on the same mount.
    let pair = common(layers.upper, layers.work);
    let all = layers.lower.iter().fold(pair.clone(), |sum, path| common(&sum, path));
    let shared = mapped(&all)?;
    let reach = |mount: &OwnedFd, top: &Path, path: &Path| beneath(mount.as_fd(), path.strip_prefix(top).ok()?).ok();
    let mut mounts = Vec::new();
    let (upper, work) = match (reach(&shared, &all, layers.upper), reach(&shared, &all, layers.work)) {
        (Some(upper), Some(work)) => (upper, work),
        _ => {
            let own = mapped(&pair)?;
            let open = |path: &Path| reach(&own, &pair, path).ok_or(Errno::XDEV).map_err(failed("reach", path));
            let found = (open(layers.upper)?, open(layers.work)?);
            mounts.push(own);
            found
        }
    };
    let mut lower = Vec::with_capacity(layers.lower.len());
    for path in layers.lower {
        lower.push(match reach(&shared, &all, path) {
            Some(fd) => fd,
            None => {
                let own = mapped(path)?;
                let root = beneath(own.as_fd(), Path::new("")).map_err(failed("reach", path))?;
                mounts.push(own);
                root
            }
        });
    }
    mounts.push(shared);
    Ok(Opened { lower, upper, work, mounts })
}

fn beneath(mount: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(mount, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

/// The longest path that both are at or below.
fn common(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(x, y)| x == y).map(|(x, _)| x).collect()
}

fn join(opened: &Opened, volatile: bool, attributes: u64) -> Result<OwnedFd, Errno> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, c"source", c"overlay")?;
    for layer in &opened.lower {
        fsconfig_set_fd(context, c"lowerdir+", layer)?;
    }
    fsconfig_set_fd(context, c"upperdir", &opened.upper)?;
    fsconfig_set_fd(context, c"workdir", &opened.work)?;
    // The upper directory becomes a layer: nothing in it may depend on the layers below being where they are now.
    for option in [c"index", c"metacopy"] {
        fsconfig_set_string(context, option, c"off")?;
    }
    if rootless::active().is_some() {
        fsconfig_set_flag(context, c"userxattr")?;
    }
    fsconfig_set_string(context, c"redirect_dir", redirect())?;
    if volatile {
        fsconfig_set_flag(context, c"volatile")?;
    }
    fsconfig_create(context)?;
    let flags = MountAttrFlags::from_bits_retain(attributes as u32);
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

/// Without root overlayfs keeps its marks in `user.` attributes, and knows redirects by another word then.
fn redirect() -> &'static std::ffi::CStr {
    if rootless::active().is_some() { c"nofollow" } else { c"off" }
}

/// The way of older kernels: the layers' mounts are attached out of sight in this (temporary, private) namespace, named
/// by `/proc/self/fd`, and joined by mount(2), whose options may be a page long.
fn join_by_path(opened: &Opened, volatile: bool, attributes: u64) -> Result<OwnedFd, Errno> {
    for mount in &opened.mounts {
        mount::attach_over_root(mount.as_fd())?;
    }
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut options = format!(
        "lowerdir={},upperdir={},workdir={},index=off,metacopy=off,redirect_dir={}",
        opened.lower.iter().map(name).collect::<Vec<_>>().join(":"),
        name(&opened.upper),
        name(&opened.work),
        redirect().to_str().unwrap_or_default(),
    );
    if rootless::active().is_some() {
        options.push_str(",userxattr");
    }
    if volatile {
        options.push_str(",volatile");
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    mount::mount(c"overlay", c"/", c"overlay", 0, &options)?;
    // `/..` is what is on top of the root directory; the root itself stays what it was.
    let top = openat(CWD, c"/..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let tree = mount::clone_tree(top.as_fd(), c"", false)?;
    // The joined root and the layers' mounts: overlayfs has copies of its own.
    for _ in 0..=opened.mounts.len() {
        rustix::mount::unmount(c"/..", rustix::mount::UnmountFlags::DETACH)?;
    }
    mount::set_attributes(tree.as_fd(), Change { set: attributes & !attr::IDMAP, ..Change::default() })?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_directory_is_found() {
        let common = |a: &str, b: &str| common(Path::new(a), Path::new(b)).display().to_string();
        assert_eq!(common("/s/c/1/upper", "/s/c/1/work"), "/s/c/1");
        assert_eq!(common("/s/c/1/upper", "/s/layers/ab/fs"), "/s");
        assert_eq!(common("/a", "/b"), "/");
        assert_eq!(common("/a/b", "/a/bc"), "/a");
    }
}
