//! Signalling, killing, pausing.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{Cgroup, PATIENCE, failed, keyed, read, subgroups, write};
use crate::SandboxError;
use crate::error::Result;
use crate::sys::signal;

impl Cgroup {
    /// Sends `signal` to every process that is in the group now. Processes born meanwhile may be missed.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        for pid in self.pids()? {
            match signal::kill(pid, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(e) => return Err(SandboxError::system("signal a process of the group")(e)),
            }
        }
        Ok(())
    }

    /// Kills every process, until the group is empty, frozen ones too.
    pub fn kill(&self) -> Result<()> {
        if let Some(dir) = self.unified() {
            let file = dir.join("cgroup.kill");
            match write(&file, "1") {
                // Before Linux 5.14 there is no such file.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(failed("kill the processes", &file)(e)),
            }
        }
        let start = Instant::now();
        let mut pause = Duration::from_micros(100);
        while !self.pids()?.is_empty() {
            self.signal_all(libc::SIGKILL)?;
            // A frozen process dies when it thaws (v1).
            if self.unified().is_none() {
                self.thaw()?;
            }
            if start.elapsed() > PATIENCE {
                return Err(failed("kill all processes", Path::new(self.path()))(Errno::BUSY));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Stops every process (docker's pause). Returns when all stand still.
    pub fn freeze(&self) -> Result<()> {
        self.set_frozen(true)
    }

    /// Lets them run again.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen(false)
    }

    /// Whether the group is frozen.
    pub fn is_frozen(&self) -> bool {
        match (self.unified(), self.with_controller("freezer")) {
            (Some(dir), _) => read(&dir.join("cgroup.events")).is_ok_and(|t| keyed(&t, "frozen") == Some(1)),
            (None, Some((dir, _))) => read(&dir.join("freezer.state")).is_ok_and(|t| t.trim() == "FROZEN"),
            (None, None) => false,
        }
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        let (file, value) = match (self.unified(), self.with_controller("freezer")) {
            (Some(dir), _) => (dir.join("cgroup.freeze"), if frozen { "1" } else { "0" }),
            (None, Some((dir, _))) => (dir.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" }),
            (None, None) => return Err(SandboxError::NoController { controller: "freezer", limit: "pause" }),
        };
        write(&file, value).map_err(failed(if frozen { "freeze" } else { "thaw" }, &file))?;
        let start = Instant::now();
        while self.is_frozen() != frozen {
            if start.elapsed() > PATIENCE {
                return Err(failed("change the state of all processes", &file)(Errno::TIMEDOUT));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

/// Ids in `dir` and all groups below.
pub(super) fn pids_below(dir: &Path, pids: &mut Vec<i32>) -> Result<(), Errno> {
    match read(&dir.join("cgroup.procs")) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()).filter(|pid| *pid > 0)),
        // Removed while we looked.
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        Err(e) => return Err(e),
    }
    subgroups(dir).iter().try_for_each(|group| pids_below(group, pids))
}

/// Whether no living process is in the group: what keeps it busy then is a process on its way out.
pub(super) fn has_only_dying(dir: &Path) -> bool {
    let mut pids = Vec::new();
    pids_below(dir, &mut pids).is_ok()
        && pids.iter().all(|pid| {
            // The state follows the name, which is in parentheses and may hold anything (proc(5)).
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])))
        })
}
