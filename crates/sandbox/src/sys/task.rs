//! What a process does to itself or to its children: wait, exit, namespaces, exec.

use std::ffi::{CStr, c_char, c_int};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};

use super::check;

/// Ends this process at once, without running exit handlers (which belong to the parent's copy).
pub(crate) fn exit(code: i32) -> ! {
    // JUSTIFICATION: std::process::exit runs handlers and takes locks; a forked child must do neither.
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Waits for the end of the child `pid`.
pub(crate) fn reap(pid: i32) -> Result<(), Errno> {
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty())).map(drop)
}

/// How the child behind `pidfd` ended: (exit code, killing signal). `None`: it has not, and `block` is false.
pub(crate) fn wait_pidfd(pidfd: BorrowedFd<'_>, block: bool) -> Result<Option<(i32, Option<i32>)>, Errno> {
    let mut options = WaitIdOptions::EXITED;
    if !block {
        options |= WaitIdOptions::NOHANG;
    }
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd), options))?;
    Ok(status.map(|s| match s.terminating_signal() {
        Some(signal) => (128 + signal, Some(signal)),
        None => (s.exit_status().unwrap_or(255), None),
    }))
}

/// unshare(2) with `CLONE_NEW*` flags.
pub(crate) fn unshare(flags: c_int) -> Result<(), Errno> {
    // JUSTIFICATION: rustix's unshare is unsafe because of CLONE_FILES.
    // SAFETY: callers pass CLONE_NEW* only, which leaves memory and descriptors as they are.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// setns(2): `fd` is a namespace file, or a pidfd with several kinds in `flags`.
pub(crate) fn setns(fd: BorrowedFd<'_>, flags: c_int) -> Result<(), Errno> {
    // JUSTIFICATION: rustix splits this call by kind of descriptor; one entry is plainer here.
    // SAFETY: setns touches no memory of this process.
    check(unsafe { libc::setns(fd.as_raw_fd(), flags) }.into()).map(drop)
}

/// Pointers to nul-terminated strings, ended by a null pointer: `argv` or `envp`. Borrows the strings.
pub(crate) struct StringArray<'a> {
    pointers: Vec<*const c_char>,
    strings: std::marker::PhantomData<&'a CStr>,
}

impl<'a> StringArray<'a> {
    /// Allocates: to be built before the fork.
    pub(crate) fn new(strings: impl IntoIterator<Item = &'a CStr>) -> Self {
        let pointers = strings.into_iter().map(CStr::as_ptr).chain([std::ptr::null()]).collect();
        Self { pointers, strings: std::marker::PhantomData }
    }
}

/// execve(2). Returns only on failure.
pub(crate) fn execve(path: &CStr, argv: &StringArray<'_>, envp: &StringArray<'_>) -> Errno {
    // JUSTIFICATION: rustix marks execve unsafe for its raw pointers.
    // SAFETY: StringArray holds pointers to live nul-terminated strings and ends with a null pointer.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr()) };
    super::last_errno()
}

/// Makes descriptors 0, 1 and 2 refer to `sources`, which must not be 0, 1 or 2 themselves.
pub(crate) fn set_stdio(sources: [c_int; 3]) -> Result<(), Errno> {
    for (target, source) in sources.into_iter().enumerate() {
        // JUSTIFICATION: the targets are numbers, not owned descriptors.
        // SAFETY: in a child about to exec nothing of Rust's owns 0, 1 or 2 in a way that a replacement could harm.
        check(unsafe { libc::syscall(libc::SYS_dup3, source, target, 0) })?;
    }
    Ok(())
}

/// Closes a descriptor by number, in a child that inherited it.
pub(crate) fn close_raw(fd: c_int) {
    // JUSTIFICATION: the owner of this number is an object in the parent's copy of the memory, which is never dropped
    // on this side.
    // SAFETY: see above; closing a number twice is an error code, not undefined behaviour.
    unsafe { libc::close(fd) };
}

/// Closes all descriptors from `first` to `last`, both included.
pub(crate) fn close_range(first: c_int, last: c_int) -> Result<(), Errno> {
    if first > last {
        return Ok(());
    }
    // JUSTIFICATION: no safe wrapper offers close_range.
    // SAFETY: used in children that own no Rust descriptor in the range which they would use or drop later.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Closes everything from `first` on but `kept`, which are at or above it. Sorts `kept`.
pub(crate) fn close_all_but(first: c_int, kept: &mut [c_int]) -> Result<(), Errno> {
    kept.sort_unstable();
    let mut from = first;
    for fd in kept.iter().copied().filter(|fd| *fd >= first) {
        close_range(from, fd - 1)?;
        from = from.max(fd + 1);
    }
    close_range(from, c_int::MAX)
}

/// fork(2) by libc, with its handlers, for callers with a single thread. 0 in the child.
pub(crate) fn plain_fork() -> Result<i32, Errno> {
    // JUSTIFICATION: std offers no fork.
    // SAFETY: callers promise a single thread, so the child is an exact copy that may do anything.
    let pid = unsafe { libc::fork() };
    check(pid.into()).map(|pid| pid as i32)
}

/// A fork without handlers inside a child that is itself between clone and exec. 0 in the new process.
pub(crate) fn bare_fork() -> Result<i32, Errno> {
    // JUSTIFICATION: libc's fork runs handlers that may wait for locks of threads that do not exist here.
    // SAFETY: no CLONE_VM and no new stack: plain fork semantics; the new process only makes raw calls and execs.
    check(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) }).map(|pid| pid as i32)
}

/// Any child that has ended: (pid, exit code or 128 + signal). Does not block.
pub(crate) fn reap_any() -> Result<Option<(i32, i32)>, Errno> {
    // Not waitpid(None): that means the own process group.
    let ended = rustix::process::wait(WaitOptions::NOHANG)?;
    Ok(ended.map(|(pid, status)| {
        let code = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 255,
        };
        (pid.as_raw_nonzero().get(), code)
    }))
}

/// The owner's side of a descriptor number that came from elsewhere, after checking that it is open.
pub(crate) fn duplicate_above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}

/// The descriptor, or a copy of it, with a number of 3 + `keep` or more.
pub(crate) fn duplicate_above(fd: OwnedFd, keep: c_int) -> Result<OwnedFd, Errno> {
    if keep == 0 || fd.as_raw_fd() >= 3 + keep { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3 + keep) }
}

/// execveat(2) of the file behind `fd` itself. Returns only on failure.
pub(crate) fn execve_fd(fd: BorrowedFd<'_>, argv: &StringArray<'_>, envp: &StringArray<'_>) -> Errno {
    // JUSTIFICATION: no safe wrapper offers execveat.
    // SAFETY: an empty constant path; StringArray holds pointers to live nul-terminated strings and ends with null.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            envp.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    super::last_errno()
}

/// The first byte of the working directory's path, as the kernel sees it. `buffer` is scratch space.
pub(crate) fn getcwd(buffer: &mut [u8]) -> Result<u8, Errno> {
    // JUSTIFICATION: rustix's getcwd allocates.
    // SAFETY: the kernel writes at most `len` bytes into the live buffer.
    check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    buffer.first().copied().ok_or(Errno::RANGE)
}

/// personality(2) of this process.
pub(crate) fn set_personality(persona: u32) -> Result<(), Errno> {
    // JUSTIFICATION: rustix has no personality.
    // SAFETY: the call takes a number.
    check(unsafe { libc::personality(persona.into()) }.into()).map(drop)
}

/// `struct sched_attr` of `linux/sched/types.h`, first version.
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// sched_setattr(2) on another process.
pub(crate) fn set_scheduler(pid: i32, scheduler: &crate::Scheduler) -> Result<(), Errno> {
    let attr = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: scheduler.policy,
        flags: scheduler.flags,
        nice: scheduler.nice,
        priority: scheduler.priority,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    };
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: `attr` outlives the call and says its own size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) }).map(drop)
}

/// ioprio_set(2) on another process.
pub(crate) fn set_io_priority(pid: i32, priority: u16) -> Result<(), Errno> {
    const IOPRIO_WHO_PROCESS: c_int = 1;
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: the call takes numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, c_int::from(priority)) }).map(drop)
}

/// A copy of descriptor `number` of the process behind `pidfd` (pidfd_getfd(2)). Closes on exec.
pub(crate) fn take_descriptor(pidfd: BorrowedFd<'_>, number: c_int) -> Result<OwnedFd, Errno> {
    // JUSTIFICATION: rustix's version needs a feature for this one call.
    // SAFETY: the call takes numbers; the answer is a new descriptor.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0))?;
        Ok(<OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd as c_int))
    }
}

/// Lets a descriptor survive exec.
pub(crate) fn keep_on_exec(number: c_int) -> Result<(), Errno> {
    // JUSTIFICATION: the number is inherited, not owned by an object.
    // SAFETY: fcntl with F_SETFD touches no memory.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(drop)
}

/// Makes descriptor `target` refer to `source` as well. Survives exec.
pub(crate) fn replace(source: c_int, target: c_int) -> Result<(), Errno> {
    // JUSTIFICATION: the target is a number, not an owned descriptor.
    // SAFETY: in a child about to exec nothing of Rust's owns `target`.
    check(unsafe { libc::syscall(libc::SYS_dup3, source, target, 0) }).map(drop)
}
