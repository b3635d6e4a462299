//! Processes of our own: detached forks, small residents, descriptors over sockets, signals as events.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::SandboxError;
use crate::error::Result;

/// Forks a process that outlives the caller, in a session of its own, and runs `f` in it; `f`'s result is its exit code.
///
/// Standard streams become /dev/null unless they are in `keep`, and all other descriptors but those in `keep` are
/// closed: whatever `f` captured must be in `keep`. The caller must have a single thread. Returns the new process id.
pub fn fork_detached(keep: &[BorrowedFd<'_>], f: impl FnOnce() -> i32) -> Result<i32> {
    let _ = (keep, f);
    Err(SandboxError::System { what: "fork yet", source: Errno::NOSYS })
}

/// Gives memory that this process does not need right now back: clean file pages and free heap.
pub fn shrink_resident() {}

/// Sends `bytes` (at least one) and descriptors over a unix socket.
pub fn send_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let _ = (socket, bytes, fds);
    Ok(())
}

/// Receives bytes and at most 16 descriptors from a unix socket. 0 bytes: the other side is gone.
pub fn recv_fds(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let _ = (socket, buffer);
    Ok((0, Vec::new()))
}

/// Blocks signals and reads them as events (signalfd(2)).
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

/// One received signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Who sent it; for SIGCHLD, whose state changed.
    pub pid: i32,
}

impl Signals {
    /// Blocks `signals` in this thread and opens a non-blocking descriptor for them.
    pub fn block(signals: &[i32]) -> Result<Self> {
        let _ = signals;
        Err(SandboxError::System { what: "watch signals yet", source: Errno::NOSYS })
    }
    /// The next pending signal, if any. Poll the descriptor to wait.
    pub fn next_signal(&self) -> Result<Option<Signal>> {
        Ok(None)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens a pidfd.
pub fn open_pid(pid: i32) -> Result<OwnedFd> {
    let _ = pid;
    Err(SandboxError::NotRunning { pid })
}

/// Sends signal `number` through a pidfd; `false` when the process is gone.
pub fn send_signal(pidfd: BorrowedFd<'_>, number: i32) -> Result<bool> {
    let _ = (pidfd, number);
    Ok(false)
}

/// When process `pid` started, in clock ticks since boot: with the id, an identity that is not used twice.
pub fn start_time(pid: i32) -> Option<u64> {
    let _ = pid;
    None
}

/// A signal's number by name (`TERM`, `SIGTERM`, `15`, `RTMIN+3`).
pub fn signal_number(name: &str) -> Option<i32> {
    let _ = name;
    None
}
