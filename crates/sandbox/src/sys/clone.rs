//! New processes: a child in new namespaces, and a helper beside the caller.

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::io::Errno;

use super::check;

/// Stack of a helper, in bytes. It runs our own code only, whose deepest frames (formatting an error) need a few
/// kilobytes; the kernel gives pages only as they are touched.
const ASIDE_STACK_BYTES: usize = 512 << 10;

/// What [`fork`] returns.
pub(crate) enum Fork {
    /// In the new process.
    Child,
    /// In the caller: the child's process id and pidfd.
    Parent(i32, OwnedFd),
}

/// Copies this process with clone3(2). `flags` may hold any `CLONE_NEW*` and `CLONE_PARENT`; `cgroup` is the directory
/// of a cgroup v2 in which the child starts.
///
/// The child has a copy of the memory as fork(2) gives, without fork's handlers: it must not allocate, lock, or call
/// libc functions that do, unless the caller had a single thread. It ends in exec or [`super::task::exit`].
pub(crate) fn fork(flags: c_int, cgroup: Option<BorrowedFd<'_>>) -> Result<Fork, Errno> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags as u32 as u64 | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        // A child given to our parent inherits our own exit signal; clone3 wants 0 then.
        exit_signal: if flags & libc::CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 },
        ..CloneArgs::default()
    };
    if let Some(dir) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = dir.as_raw_fd() as u64;
    }
    // JUSTIFICATION: no safe wrapper offers clone3.
    // SAFETY: `args` and `pidfd` outlive the call and the size is theirs; no CLONE_VM, so the child works on a copy of
    // the stack and memory, as after fork; callers keep the rule above about what the child may do.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor that nobody else owns.
    Ok(Fork::Parent(pid as i32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// `struct clone_args` of `linux/sched.h`, third version.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Runs `work` in a helper process that shares this process's memory and descriptors while the calling thread waits
/// (`CLONE_VM | CLONE_VFORK | CLONE_FILES`), and returns its result. What the helper does to *itself* (namespaces,
/// working directory, file system ids, umask, securebits) vanishes with it; what it writes to memory and which
/// descriptors it opens stay. `flags`: `CLONE_NEWNS`, or 0.
///
/// Children that the helper forks with `CLONE_PARENT` are children of the caller.
/// Error: the kernel's refusal to clone, or `ECHILD` when the helper was killed half-way.
pub(crate) fn aside<R>(flags: c_int, work: impl FnOnce() -> R) -> Result<R, Errno> {
    struct Slot<W, R> {
        work: Option<W>,
        result: Option<R>,
    }
    extern "C" fn enter<W: FnOnce() -> R, R>(slot: *mut c_void) -> c_int {
        // SAFETY: `slot` is the address of the Slot<W, R> below, which lives until this process has ended (the caller
        // waits), and the only other thread that knows it is suspended.
        let slot = unsafe { &mut *slot.cast::<Slot<W, R>>() };
        if let Some(work) = slot.work.take() {
            // A panic must not unwind into the kernel's frame; the caller sees a missing result.
            slot.result = catch_unwind(AssertUnwindSafe(work)).ok();
        }
        0
    }
    fn entry<W: FnOnce() -> R, R>(_: &Slot<W, R>) -> extern "C" fn(*mut c_void) -> c_int {
        enter::<W, R>
    }

    let mut slot = Slot { work: Some(work), result: None };
    let enter = entry(&slot);
    let mut stack: Vec<u128> = Vec::with_capacity(ASIDE_STACK_BYTES / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
    // JUSTIFICATION: only a process of its own can take on other namespaces and ids without touching the caller, and
    // sharing memory saves the copy of the page tables and any serialising of results.
    // SAFETY: `top` is the 16-byte aligned end of a live allocation that only the helper uses as its stack; with
    // CLONE_VFORK this thread continues only when the helper is gone, so `slot` and `stack` outlive it and are not
    // touched by two at once; the helper uses this thread's thread-local storage while this thread is suspended. Other
    // threads run on as they would beside any thread of ours.
    let pid = unsafe { libc::clone(enter, top.cast(), flags, (&raw mut slot).cast()) };
    if pid < 0 {
        return Err(super::last_errno());
    }
    super::task::reap(pid)?;
    slot.result.ok_or(Errno::CHILD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_shares_memory_and_descriptors_but_not_its_directory() {
        let before = std::env::current_dir().unwrap();
        let mut seen = 0;
        let fd = aside(0, || {
            seen = 7;
            std::env::set_current_dir("/").unwrap();
            std::fs::File::open("/dev/null").unwrap()
        })
        .unwrap();
        assert_eq!(seen, 7);
        assert_eq!(std::env::current_dir().unwrap(), before);
        assert!(fd.metadata().is_ok());
    }

    #[test]
    fn a_panicking_helper_is_an_error() {
        assert_eq!(aside(0, || panic!("on purpose")).unwrap_err(), Errno::CHILD);
    }
}
