//! Landlock (landlock(7)): restrictions that no later capability undoes.
//!
//! What it adds to a container that already has its own namespaces, capabilities and filter:
//!
//! * No device node can be made anywhere, and no mount changed, even by a process that gained CAP_MKNOD or
//!   CAP_SYS_ADMIN: a process in a domain with file-system rules may not change mounts.
//! * Where the container shares the host's network namespace, abstract unix sockets of the host are out of reach, and
//!   where it shares the host's pid namespace, processes of the host cannot be signalled (ABI 6).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::Result;
use crate::sys::cred::{LandlockRuleset, landlock_allow_beneath, landlock_restrict, landlock_ruleset};
use crate::{Capabilities, Namespace, Namespaces, SandboxError, caps};

const FS_MAKE_CHAR: u64 = 1 << 6;
const FS_MAKE_BLOCK: u64 = 1 << 11;
/// Renaming and linking files from one directory into another (ABI 2). A domain with file-system rules forbids it
/// unless it is handled and allowed, and `rename(2)` then fails with EXDEV: apt, dpkg and many others would break.
const FS_REFER: u64 = 1 << 13;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 2;

/// The ruleset of a container; `None` where the kernel has no Landlock. Scopes need ABI 6 (Linux 6.12) and are left out
/// of older kernels.
///
/// Who is given CAP_SYS_ADMIN or CAP_MKNOD on purpose (`bounding`) is meant to mount or to make nodes; the file-system
/// part is left out then.
pub(crate) fn ruleset(namespaces: &Namespaces, bounding: Capabilities) -> Result<Option<OwnedFd>> {
    let mut rules = LandlockRuleset::default();
    if !bounding.contains(caps::SYS_ADMIN) && !bounding.contains(caps::MKNOD) {
        rules.handled_access_fs = FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_REFER;
    }
    if namespaces.net == Namespace::Host {
        rules.scoped |= SCOPE_ABSTRACT_UNIX_SOCKET;
    }
    if namespaces.pid == Namespace::Host {
        rules.scoped |= SCOPE_SIGNAL;
    }
    if rules.handled_access_fs == 0 && rules.scoped == 0 {
        return Ok(None);
    }
    // Only the fields in use are shown to the kernel, so that old ones take the call.
    let size = if rules.scoped == 0 { 8 } else { 24 };
    let made = match landlock_ruleset(&rules, size) {
        Err(Errno::TOOBIG | Errno::INVAL) if rules.scoped != 0 => landlock_ruleset(&rules, 8),
        other => other,
    };
    match made {
        Ok(fd) => Ok(Some(fd)),
        // Not built in, or not enabled at boot.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => Ok(None),
        // ABI 1 (before Linux 5.19) cannot allow renames between directories: no domain is better than broken programs.
        Err(Errno::INVAL) => Ok(None),
        Err(e) => Err(SandboxError::system("make a Landlock ruleset")(e)),
    }
}

/// Enters the domain of a ruleset, in the container after its root is `/`: renames between directories stay allowed.
/// Allocates nothing.
pub(crate) fn enter(ruleset: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    let root = rustix::fs::open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match landlock_allow_beneath(ruleset, root.as_fd(), FS_REFER) {
        // The ruleset has no file-system part.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(e) => return Err(e),
    }
    landlock_restrict(ruleset)
}
