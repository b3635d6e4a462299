//! Credentials and irreversible restrictions of the calling process.

use std::ffi::{c_int, c_long, c_ulong};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::check;
use crate::CapabilitySets;
use crate::seccomp::Instruction;

fn prctl(option: c_int, a: c_ulong, b: c_ulong) -> Result<c_int, Errno> {
    // JUSTIFICATION: the options used here take numbers only; one entry point is easier to audit than one block each.
    // SAFETY: no option passed in this module makes the kernel read or write memory of this process.
    check(unsafe { libc::prctl(option, a, b, 0 as c_ulong, 0 as c_ulong) }.into()).map(|answer| answer as c_int)
}

/// `PR_SET_DUMPABLE 0`: nobody inside can read this process's memory or follow its /proc/PID/exe (CVE-2019-5736).
pub(crate) fn not_dumpable() -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop)
}

/// `PR_SET_NO_NEW_PRIVS`.
pub(crate) fn no_new_privileges() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Keep permitted capabilities when the user id changes from root to another.
pub(crate) fn keep_capabilities() -> Result<(), Errno> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop)
}

/// Changes of user and file-system ids leave capabilities alone (`SECBIT_NO_SETUID_FIXUP`).
pub(crate) fn no_setuid_fixup() -> Result<(), Errno> {
    const SECBIT_NO_SETUID_FIXUP: c_ulong = 1 << 2;
    prctl(libc::PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0).map(drop)
}

/// Removes everything that is not in `keep` from the bounding set.
pub(crate) fn limit_bounding_set(keep: u64) -> Result<(), Errno> {
    for capability in 0..64u32 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, capability.into(), 0) {
            Ok(_) => {}
            // Beyond the last capability that the kernel knows.
            Err(Errno::INVAL) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Sets effective, permitted and inheritable, then the ambient set. The bounding set: [`limit_bounding_set`].
/// Capabilities that this kernel does not know are left out.
pub(crate) fn set_capabilities(sets: &CapabilitySets) -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let mut now = [Data::default(), Data::default()];
    // JUSTIFICATION: libc's wrappers are in libcap; rustix refuses bits it does not know.
    // SAFETY: both structures have the kernel's layout for version 3; `now` is written and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, now.as_mut_ptr()) })?;
    // What this process does not hold itself it cannot give: on a host that keeps some capabilities from root,
    // "all" means all that there are.
    let held = u64::from(now[0].permitted) | u64::from(now[1].permitted) << 32;
    let half = |shift: u32| Data {
        effective: ((sets.effective.0 & held) >> shift) as u32,
        permitted: ((sets.permitted.0 & held) >> shift) as u32,
        inheritable: ((sets.inheritable.0 & held) >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // JUSTIFICATION: libc's wrappers are in libcap; rustix refuses bits it does not know.
    // SAFETY: both structures have the kernel's layout for version 3 and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })?;
    for capability in (0..64u32).filter(|c| sets.ambient.0 & held & (1 << c) != 0) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as c_ulong, capability.into())?;
    }
    Ok(())
}

/// Real, effective and saved ids of this thread by raw calls: libc's would signal threads that a child does not have.
pub(crate) fn set_ids(uid: u32, gid: u32, groups: Option<&[u32]>) -> Result<(), Errno> {
    // JUSTIFICATION: see above.
    // SAFETY: `groups` is a live slice of its own length; the other calls take numbers.
    unsafe {
        if let Some(groups) = groups {
            check(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
        }
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
    }
    Ok(())
}

/// Back to the securebits of a fresh process.
pub(crate) fn plain_securebits() -> Result<(), Errno> {
    prctl(libc::PR_SET_SECUREBITS, 0, 0).map(drop)
}

/// File-system ids of this thread: the owner of what it creates. Never fails in the kernel's interface; the ids are
/// unmapped only if the caller chose them wrongly, and creating files then fails with `EOVERFLOW`.
pub(crate) fn set_fs_ids(uid: u32, gid: u32) {
    // JUSTIFICATION: rustix has no setfsuid.
    // SAFETY: the calls take numbers.
    unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
    }
}

/// Leaves the session keyring of the caller for a new one. A kernel without keyrings has nothing to leave.
pub(crate) fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: a null name asks for an anonymous keyring; no memory is read.
    match check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) }) {
        Ok(_) | Err(Errno::NOSYS) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Installs a seccomp filter for this process and its future children. Needs no_new_privs or CAP_SYS_ADMIN. Returns the
/// number of the listener's descriptor when `flags` asks for one (`SECCOMP_FILTER_FLAG_NEW_LISTENER`).
pub(crate) fn install_filter(program: &[Instruction], flags: u32) -> Result<i32, Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // JUSTIFICATION: no safe wrapper offers seccomp(2).
    // SAFETY: Instruction has the layout of sock_filter; the kernel only reads `len` of them, and they outlive the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
        .map(|answer| answer as i32)
}

/// `struct landlock_ruleset_attr` of `linux/landlock.h`, ABI 6.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LandlockRuleset {
    pub(crate) handled_access_fs: u64,
    pub(crate) handled_access_net: u64,
    pub(crate) scoped: u64,
}

/// Makes a Landlock ruleset. `size` selects how much of the structure this kernel is told about.
pub(crate) fn landlock_ruleset(ruleset: &LandlockRuleset, size: usize) -> Result<OwnedFd, Errno> {
    let size = size.min(size_of::<LandlockRuleset>());
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: `ruleset` outlives the call and at least `size` bytes of it are valid; the answer is a new descriptor.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_landlock_create_ruleset, ruleset, size, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Allows `access` beneath the directory `parent` (`LANDLOCK_RULE_PATH_BENEATH`).
pub(crate) fn landlock_allow_beneath(
    ruleset: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    access: u64,
) -> Result<(), Errno> {
    /// `struct landlock_path_beneath_attr` of `linux/landlock.h`.
    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent_fd: i32,
    }
    const RULE_PATH_BENEATH: libc::c_int = 1;
    let rule = PathBeneath { allowed_access: access, parent_fd: parent.as_raw_fd() };
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: `rule` outlives the call and has the layout that the kernel reads; both descriptors are borrowed.
    check(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), RULE_PATH_BENEATH, &raw const rule, 0)
    })
    .map(drop)
}

/// Puts this process into the domain of `ruleset`. Needs no_new_privs or CAP_SYS_ADMIN.
pub(crate) fn landlock_restrict(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: the call takes numbers.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) }).map(drop)
}
