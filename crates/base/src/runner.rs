//! The seam to whoever runs a program inside the new root.

use std::path::Path;

/// Why a program could not be run (not: why it failed).
pub type RunnerError = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program confined to a root directory. The engine gives the real one.
pub trait ConfigureRunner {
    /// Runs `args` with exactly the environment `env` (`NAME=value`) as root inside `root`, waits, and returns its exit
    /// code (128+n after signal n). The runner must give the program its own mount, pid and ipc namespaces, `/proc`,
    /// a minimal `/dev` with `null`, and no network. `/var`, `/run` and `/etc` must be those of `root` (writable, no
    /// tmpfs over them): that is where scripts leave their results and their log.
    fn run(&mut self, root: &Path, args: &[String], env: &[String]) -> Result<i32, RunnerError>;
}
