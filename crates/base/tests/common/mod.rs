#![allow(dead_code, reason = "each test file uses a part")]
//! A runner for tests: `unshare` and `chroot` of the machine, no confinement worth the name.

use std::path::Path;
use std::process::Command;

use stockade_base::{ConfigureRunner, RunnerError};

/// Runs programs in the root by `unshare`.
pub struct UnshareRunner;

impl ConfigureRunner for UnshareRunner {
    fn run(&mut self, root: &Path, args: &[String], env: &[String]) -> Result<i32, RunnerError> {
        // All mounts are made in a private mount namespace and vanish with it.
        let setup = "mount --make-rprivate / && mount -t proc proc \"$0/proc\" && mount -t tmpfs tmpfs \"$0/dev\" && \
                     for d in null zero full random urandom tty; do : >\"$0/dev/$d\" && mount --bind /dev/$d \"$0/dev/$d\" || exit 99; done; \
                     exec chroot \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--ipc", "--net", "--fork", "--kill-child", "sh", "-c", setup]);
        command.arg(root).args(args).env_clear();
        for variable in env {
            if let Some((name, value)) = variable.split_once('=') {
                command.env(name, value);
            }
        }
        let status = command.status()?;
        Ok(status.code().unwrap_or(128))
    }
}

/// A directory in memory where there is one: dpkg syncs to disk hundreds of times, which says nothing here.
pub fn scratch() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// Whether this process may build a root; says why not.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root to give files their owners and to chroot");
    }
    root
}
