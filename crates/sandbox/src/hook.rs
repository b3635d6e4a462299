//! Programs that run while a container is made (runtime-spec, "POSIX-platform Hooks").

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, SeekFrom, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::Result;
use crate::sys::clone::{self, Fork};
use crate::sys::{cred, signal, task};
use crate::{Hook, SandboxError};

/// A hook's strings, made before any fork.
pub(crate) struct Prepared {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    timeout: Option<Duration>,
}

/// Pointers over a [`Prepared`].
pub(crate) struct Ready<'a> {
    prepared: &'a Prepared,
    argv: task::StringArray<'a>,
    envp: task::StringArray<'a>,
}

impl Prepared {
    pub(crate) fn new(hook: &Hook) -> Result<Self> {
        let nul = || SandboxError::Hook {
            kind: "configured",
            path: hook.path.clone(),
            why: "has a nul byte in its path, arguments or environment".to_owned(),
        };
        let strings = |list: &[String]| -> Result<Vec<CString>> {
            list.iter().map(|s| CString::new(s.as_bytes()).map_err(|_| nul())).collect()
        };
        let path = super::stage::host_path(&hook.path).ok_or_else(nul)?;
        let args = if hook.args.is_empty() { vec![path.clone()] } else { strings(&hook.args)? };
        Ok(Self { path, args, env: strings(&hook.env)?, timeout: hook.timeout })
    }

    pub(crate) fn ready(&self) -> Ready<'_> {
        let array = |list| task::StringArray::new(<[CString]>::iter(list).map(CString::as_c_str));
        Ready { prepared: self, argv: array(&self.args), envp: array(&self.env) }
    }
}

/// Where a hook runs.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In the namespaces of the process behind this pidfd, with plain ids.
    Of(BorrowedFd<'a>),
    /// Where the calling process is.
    Here,
}

/// A file in memory that holds `text`.
pub(crate) fn memory_file(text: &str) -> Result<OwnedFd> {
    let error = || SandboxError::system("make a file in memory for a hook");
    let file = memfd_create(c"state", MemfdFlags::CLOEXEC).map_err(error())?;
    fill(file.as_fd(), text).map_err(error())?;
    Ok(file)
}

/// Writes the whole text at the start of a file, whose position stays 0.
pub(crate) fn fill(file: BorrowedFd<'_>, text: &str) -> std::result::Result<(), Errno> {
    let mut at = 0;
    while let Some(rest) = text.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
        at += rustix::io::pwrite(file, rest, at as u64)?;
    }
    Ok(())
}

/// Runs hooks one after another, as children of the calling process. `state`: what they read from standard input.
pub(crate) fn run_all(kind: &'static str, hooks: &[Hook], state: &str, place: Place<'_>) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let input = memory_file(state)?;
    for hook in hooks {
        let failed = |why: String| SandboxError::Hook { kind, path: hook.path.clone(), why };
        let prepared = Prepared::new(hook)?;
        let ready = prepared.ready();
        let (pid, pidfd) = match clone::fork(0, None) {
            Ok(Fork::Child) => become_hook(&ready, input.as_fd(), place),
            Ok(Fork::Parent(pid, pidfd)) => (pid, pidfd),
            Err(e) => return Err(failed(format!("cannot be started: {e}"))),
        };
        match outcome(pid, pidfd.as_fd(), prepared.timeout) {
            Ok(0) => {}
            Ok(127) => return Err(failed("cannot be executed, or ended with exit code 127".to_owned())),
            Ok(code) => return Err(failed(format!("ended with exit code {code}"))),
            Err(Errno::TIMEDOUT) => return Err(failed("took longer than its timeout and was killed".to_owned())),
            Err(e) => return Err(failed(format!("cannot be waited for: {e}"))),
        }
    }
    Ok(())
}

/// Runs hooks one after another where the caller is. `state`: what they read from standard input.
pub fn run_hooks(kind: &'static str, hooks: &[Hook], state: &str) -> Result<()> {
    run_all(kind, hooks, state, Place::Here)
}

/// In the child of the launcher, in the container: runs one hook. Allocates nothing.
pub(crate) fn run_inside(ready: &Ready<'_>, input: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    let pid = task::bare_fork()?;
    if pid == 0 {
        become_hook(ready, input, Place::Here);
    }
    let id = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    let pidfd = pidfd_open(id, PidfdFlags::empty())?;
    match outcome(pid, pidfd.as_fd(), ready.prepared.timeout)? {
        0 => Ok(()),
        _ => Err(Errno::CANCELED),
    }
}

/// Exit code (128 + signal) of a child; it is killed when its time is over.
fn outcome(pid: i32, pidfd: BorrowedFd<'_>, timeout: Option<Duration>) -> std::result::Result<i32, Errno> {
    let start = Instant::now();
    let mut expired = false;
    loop {
        let left = timeout.map(|t| t.saturating_sub(start.elapsed()));
        let left = left.and_then(|t| Timespec::try_from(t).ok());
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut fds, left.as_ref()) {
            Ok(0) => {
                expired = true;
                signal::send(pidfd, libc::SIGKILL)?;
                break;
            }
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    let _ = pid;
    let ended = task::wait_pidfd(pidfd, true)?;
    if expired { Err(Errno::TIMEDOUT) } else { Ok(ended.map_or(255, |(code, _)| code)) }
}

/// In the hook's own process: never returns.
fn become_hook(ready: &Ready<'_>, input: BorrowedFd<'_>, place: Place<'_>) -> ! {
    let steps = || -> std::result::Result<(), Errno> {
        if let Place::Of(pidfd) = place {
            let kinds = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
            task::setns(pidfd, kinds)?;
            cred::set_fs_ids(0, 0);
            cred::plain_securebits()?;
            rustix::process::chdir(c"/")?;
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        signal::reset(&[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE, libc::SIGTERM]);
        signal::mask(libc::SIG_SETMASK, &signal::SignalSet::empty())?;
        rustix::fs::seek(input, SeekFrom::Start(0))?;
        task::replace(input.as_raw_fd(), 0)?;
        task::close_range(3, i32::MAX)
    };
    if steps().is_ok() {
        let _ = task::execve(&ready.prepared.path, &ready.argv, &ready.envp);
    }
    task::exit(127)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(args: &[&str], timeout: Option<u64>) -> Hook {
        Hook {
            path: "/bin/sh".into(),
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            env: vec!["A=b".to_owned()],
            timeout: timeout.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_hook_reads_the_state_and_has_its_own_environment() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let script = format!("read line; echo \"$line $A $0 $HOME\" > {}", out.display());
        run_all("poststart", &[hook(&["name", "-c", &script], None)], "{\"x\":1}\n", Place::Here).unwrap();
        assert_eq!(std::fs::read_to_string(out).unwrap(), "{\"x\":1} b name \n");
    }

    #[test]
    fn a_hook_that_fails_or_hangs_is_an_error() {
        let run = |script: &str, timeout| run_all("poststop", &[hook(&["sh", "-c", script], timeout)], "", Place::Here);
        assert!(run("exit 3", None).unwrap_err().to_string().contains("exit code 3"));
        assert!(run("exec sleep 100", Some(1)).unwrap_err().to_string().contains("timeout"));
        let missing = Hook { path: "/no/such".into(), ..hook(&["x"], None) };
        assert!(run_all("poststop", &[missing], "", Place::Here).unwrap_err().to_string().contains("/no/such"));
    }
}
