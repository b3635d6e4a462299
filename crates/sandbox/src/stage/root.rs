//! The root file system as a detached mount.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use super::{host_path, overlay};
use crate::error::Result;
use crate::sys::mount::{self, Change, attr};
use crate::{Namespace, Plan, Root, SandboxError};

/// Makes the mount. `userns`: map ids through it. The calling process's file-system ids must be the container root's.
///
/// `nosuid` follows `no_new_privs`, which makes set-user-id files powerless anyway. `nodev` is set when the container
/// has its own user namespace or no_new_privs: it gets its devices by /dev, never from the image.
pub(crate) fn open(plan: &Plan, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd> {
    let mut attributes = 0;
    if plan.process.no_new_privileges {
        attributes |= attr::NOSUID | attr::NODEV;
    }
    if plan.namespaces.user != Namespace::Host {
        attributes |= attr::NODEV;
    }
    match &plan.root {
        Root::Dir { path, .. } => {
            let what = if userns.is_some() { "map the ids of" } else { "bind" };
            clone_mapped(path, userns, attributes).map_err(failed(what, path))
        }
        // Opened before: see [`open_bundle`].
        Root::Bundle { path, .. } => clone_mapped(path, None, attributes).map_err(failed("bind", path)),
        Root::Overlay { lower, upper, work, volatile, .. } => {
            let layers = overlay::Layers { lower, upper, work, volatile: *volatile };
            overlay::open(&layers, userns, attributes)
        }
    }
}

/// The root of a bundle, with all below it. Must happen before this namespace is cut off from the host's, so that the
/// root can be the host's slave.
pub(crate) fn open_bundle(plan: &Plan) -> Result<Option<OwnedFd>> {
    let Root::Bundle { path, .. } = &plan.root else { return Ok(None) };
    let propagation = match plan.extra.root_propagation {
        Some(crate::Propagation::Slave) => libc::MS_SLAVE,
        // What is mounted inside must not show outside while the stage is set.
        _ => libc::MS_PRIVATE,
    };
    let open = || {
        let tree = mount::clone_host_tree(&host_path(path).ok_or(Errno::INVAL)?, true)?;
        mount::set_attributes(tree.as_fd(), Change { propagation, recursive: true, ..Change::default() })?;
        Ok(tree)
    };
    open().map(Some).map_err(failed("bind", path))
}

pub(super) fn is_readonly(root: &Root) -> bool {
    match root {
        Root::Dir { readonly, .. } | Root::Bundle { readonly, .. } | Root::Overlay { readonly, .. } => *readonly,
    }
}

pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(Errno) -> SandboxError {
    move |source| SandboxError::Root { what, path: path.to_owned(), source }
}

/// A detached copy of the mount at `path` with ids mapped and attributes set.
pub(super) fn clone_mapped(path: &Path, userns: Option<BorrowedFd<'_>>, attributes: u64) -> Result<OwnedFd, Errno> {
    let name: CString = host_path(path).ok_or(Errno::INVAL)?;
    let tree = mount::clone_host_tree(&name, false)?;
    // Private: the host's peer group must not see what is mounted inside.
    let change = Change { set: attributes, propagation: libc::MS_PRIVATE, idmap: userns, ..Change::default() };
    mount::set_attributes(tree.as_fd(), change)?;
    Ok(tree)
}
