//! Landlock (landlock(7)): restrictions that no later capability undoes.
//!
//! What it adds to a container that already has its own namespaces, capabilities and filter:
//!
//! * No device node can be made anywhere, and no mount changed, even by a process that gained CAP_MKNOD or
//!   CAP_SYS_ADMIN: a process in a domain with file-system rules may not change mounts.
//! * Where the container shares the host's network namespace, abstract unix sockets of the host are out of reach, and
//!   where it shares the host's pid namespace, processes of the host cannot be signalled (ABI 6).

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::error::Result;
use crate::sys::cred::{LandlockRuleset, landlock_ruleset};
use crate::{Namespace, Namespaces, SandboxError};

const FS_MAKE_CHAR: u64 = 1 << 6;
const FS_MAKE_BLOCK: u64 = 1 << 11;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 2;

/// The ruleset of a container; `None` where the kernel has no Landlock. Scopes need ABI 6 (Linux 6.12) and are left out
/// of older kernels.
pub(crate) fn ruleset(namespaces: &Namespaces) -> Result<Option<OwnedFd>> {
    let mut rules = LandlockRuleset { handled_access_fs: FS_MAKE_CHAR | FS_MAKE_BLOCK, ..LandlockRuleset::default() };
    if namespaces.net == Namespace::Host {
        rules.scoped |= SCOPE_ABSTRACT_UNIX_SOCKET;
    }
    if namespaces.pid == Namespace::Host {
        rules.scoped |= SCOPE_SIGNAL;
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
        Err(e) => Err(SandboxError::system("make a Landlock ruleset")(e)),
    }
}
