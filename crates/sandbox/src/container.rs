//! A container process from plan to exit: `create`, `start`, `exec`, `wait`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::error::Result;
use crate::{IdMap, Plan, Process, SandboxError, SeccompPolicy, Stdio};

/// A container whose first process exists, set up to the exec, and waits for [`Created::start`].
/// Dropped without a start, the process is killed and reaped.
#[derive(Debug)]
pub struct Created {
    pid: i32,
    pidfd: OwnedFd,
    netns: OwnedFd,
    terminal: Option<OwnedFd>,
}

/// A process that runs: the container's first or one of [`exec`]. It is a child of the caller.
#[derive(Debug)]
pub struct Running {
    pid: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    /// Exit code; 128 + n when signal n killed it.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The kernel's out-of-memory killer struck in its cgroup.
    pub oom_killed: bool,
}

/// A running container, for [`exec`].
#[derive(Debug, Clone)]
pub struct Target {
    /// The container's first process, by its id on the host.
    pub pid: i32,
    /// The container's id mapping, when it has a user namespace of its own.
    pub id_map: Option<IdMap>,
    /// Its cgroup path, as in [`crate::CgroupPlan::path`]; empty: stay in the caller's.
    pub cgroup: String,
    /// Filter for the new process.
    pub seccomp: Option<SeccompPolicy>,
    /// Kept for the record; see [`exec`].
    pub landlock: bool,
}

/// Sets up everything of `plan` up to the exec. `stdio` may be `None` only when the process has a terminal.
pub fn create(plan: &Plan, stdio: Option<Stdio>) -> Result<Created> {
    let _ = (plan, stdio);
    Err(SandboxError::System { what: "create a container yet", source: Errno::NOSYS })
}

/// Runs `process` inside a running container. Returns once the program has been executed.
pub fn exec(target: &Target, process: &Process, stdio: Option<Stdio>) -> Result<Running> {
    let _ = (target, process, stdio);
    Err(SandboxError::System { what: "run in a container yet", source: Errno::NOSYS })
}

impl Created {
    /// Process id on the host.
    pub fn pid(&self) -> i32 {
        self.pid
    }
    /// A pidfd of the process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
    /// The network namespace of the process.
    pub fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }
    /// The master side of the pseudo-terminal, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }
    /// Runs the program. Returns when the exec has happened.
    pub fn start(self) -> Result<Running> {
        Ok(Running { pid: self.pid, pidfd: self.pidfd, terminal: self.terminal })
    }
    /// Kills and reaps the process.
    pub fn abort(self) {}
}

impl Running {
    /// Process id on the host.
    pub fn pid(&self) -> i32 {
        self.pid
    }
    /// A pidfd: readable when the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
    /// The master side of the pseudo-terminal, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }
    /// The exit status if the process has ended. May be asked again.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        Ok(None)
    }
    /// Waits for the end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Err(SandboxError::NotRunning { pid: self.pid })
    }
}
