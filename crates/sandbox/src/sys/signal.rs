//! Signal masks, dispositions, and signals as events.

use std::ffi::c_int;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;

use super::check;

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct SignalSet(libc::sigset_t);

impl SignalSet {
    pub(crate) fn empty() -> Self {
        let mut set = MaybeUninit::uninit();
        // JUSTIFICATION: sigset_t is opaque.
        // SAFETY: sigemptyset initialises the whole set.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    pub(crate) fn all() -> Self {
        let mut set = Self::empty();
        // SAFETY: the set is initialised.
        unsafe { libc::sigfillset(&mut set.0) };
        set
    }

    pub(crate) fn of(signals: &[i32]) -> Self {
        let mut set = Self::empty();
        for signal in signals {
            // SAFETY: the set is initialised; a number that is no signal is refused with an error and left out.
            unsafe { libc::sigaddset(&mut set.0, *signal) };
        }
        set
    }
}

/// Adds to (`SIG_BLOCK`) or replaces (`SIG_SETMASK`) this thread's mask.
pub(crate) fn mask(how: c_int, set: &SignalSet) -> Result<(), Errno> {
    // JUSTIFICATION: no safe wrapper in std or rustix.
    // SAFETY: the set is initialised and outlives the call; the old mask is not asked for. pthread_sigmask is a plain
    // system call for the calling thread, fit for a child.
    match unsafe { libc::pthread_sigmask(how, &set.0, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(Errno::from_raw_os_error(error)),
    }
}

/// Default disposition for these signals.
pub(crate) fn reset(signals: &[i32]) {
    for signal in signals {
        // JUSTIFICATION: an ignored signal (Rust ignores SIGPIPE) stays ignored across exec.
        // SAFETY: SIG_DFL installs no handler.
        unsafe { libc::signal(*signal, libc::SIG_DFL) };
    }
}

/// Waits for one signal of `set`, which must be blocked; its number.
pub(crate) fn wait(set: &SignalSet) -> Result<i32, Errno> {
    // JUSTIFICATION: no safe wrapper.
    // SAFETY: the set is initialised; no information is asked for.
    check(unsafe { libc::sigwaitinfo(&set.0, ptr::null_mut()) }.into()).map(|signal| signal as i32)
}

/// kill(2): also -1, everybody.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // JUSTIFICATION: rustix's Signal type does not hold real-time signals.
    // SAFETY: kill takes numbers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// pidfd_send_signal(2).
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // JUSTIFICATION: as for kill.
    // SAFETY: a null info pointer is allowed.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0, 0) }).map(drop)
}

/// A non-blocking, close-on-exec signalfd(2).
pub(crate) fn descriptor(set: &SignalSet) -> Result<OwnedFd, Errno> {
    // JUSTIFICATION: no safe wrapper.
    // SAFETY: the set is initialised; the answer is a new descriptor.
    unsafe {
        let fd = check(libc::signalfd(-1, &set.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd as c_int))
    }
}

/// The next event of a signalfd: (signal, sender or child). `None`: nothing pending.
pub(crate) fn read_event(fd: BorrowedFd<'_>) -> Result<Option<(i32, i32)>, Errno> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    // JUSTIFICATION: the kernel writes a structure; reading it as bytes would need the same offsets by hand.
    // SAFETY: the buffer is as large as said; the structure is plain numbers, valid when zeroed and after any read.
    let (read, info) = unsafe {
        let read = libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), size_of::<libc::signalfd_siginfo>());
        (check(read as libc::c_long), info.assume_init())
    };
    match read {
        Ok(_) => Ok(Some((info.ssi_signo as i32, info.ssi_pid as i32))),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(e) => Err(e),
    }
}
