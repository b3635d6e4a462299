//! Counters.

use std::path::Path;

use super::{Cgroup, keyed, read};
use crate::error::Result;

/// Counters of a group. What the machine does not count is `None` or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Memory in use without the inactive page cache, in bytes (docker's figure).
    pub memory_bytes: u64,
    /// Memory limit, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// CPU time consumed, in nanoseconds.
    pub cpu_ns: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Limit of processes and threads.
    pub pids_limit: Option<u64>,
    /// Bytes read from block devices.
    pub io_read_bytes: u64,
    /// Bytes written to block devices.
    pub io_write_bytes: u64,
    /// How often the out-of-memory killer struck in this group.
    pub oom_kills: u64,
}

/// v1 shows "no limit" as the largest multiple of a page that fits; anything near it is none.
const UNLIMITED_V1: u64 = 1 << 60;

impl Cgroup {
    /// Reads the counters. A group that is gone has zeros everywhere.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats { oom_kills: self.oom_kills(), ..Stats::default() };
        if let Some((dir, v2)) = self.with_controller("memory") {
            let (usage, limit, inactive) = if v2 {
                ("memory.current", "memory.max", "inactive_file")
            } else {
                ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
            };
            let cache = text(&dir, "memory.stat").and_then(|t| keyed(&t, inactive)).unwrap_or(0);
            stats.memory_bytes = number(&dir, usage).unwrap_or(0).saturating_sub(cache);
            stats.memory_limit_bytes = number(&dir, limit).filter(|bytes| *bytes < UNLIMITED_V1);
        }
        if let Some((dir, _)) = self.with_controller("pids") {
            stats.pids = number(&dir, "pids.current").unwrap_or(0);
            stats.pids_limit = number(&dir, "pids.max");
        }
        stats.cpu_ns = self.cpu_ns();
        (stats.io_read_bytes, stats.io_write_bytes) = self.io_bytes();
        Ok(stats)
    }

    /// How often the out-of-memory killer struck in this group.
    pub(crate) fn oom_kills(&self) -> u64 {
        let Some((dir, v2)) = self.with_controller("memory") else { return 0 };
        let file = if v2 { "memory.events" } else { "memory.oom_control" };
        text(&dir, file).and_then(|t| keyed(&t, "oom_kill ")).unwrap_or(0)
    }

    fn cpu_ns(&self) -> u64 {
        // The v2 tree counts time even without the cpu controller.
        let unified = self.unified().and_then(|dir| keyed(&text(&dir, "cpu.stat")?, "usage_usec"));
        match unified {
            Some(us) => us.saturating_mul(1000),
            None => self.with_controller("cpuacct").and_then(|(dir, _)| number(&dir, "cpuacct.usage")).unwrap_or(0),
        }
    }

    fn io_bytes(&self) -> (u64, u64) {
        if let Some((dir, true)) = self.with_controller("io") {
            let text = text(&dir, "io.stat").unwrap_or_default();
            let sum =
                |key: &str| text.split_whitespace().filter_map(|w| w.strip_prefix(key)?.parse::<u64>().ok()).sum();
            return (sum("rbytes="), sum("wbytes="));
        }
        match self.with_controller("blkio") {
            Some((dir, _)) => {
                let text = text(&dir, "blkio.throttle.io_service_bytes_recursive").unwrap_or_default();
                let sum = |what: &str| {
                    let lines = text
                        .lines()
                        .filter_map(|l| l.split_once(' ')?.1.strip_prefix(what)?.trim().parse::<u64>().ok());
                    lines.sum()
                };
                (sum("Read "), sum("Write "))
            }
            None => self.io_of_living(),
        }
    }

    /// Without a controller that counts: what the living processes have done (proc(5), /proc/PID/io).
    fn io_of_living(&self) -> (u64, u64) {
        let pids = self.pids().unwrap_or_default();
        let counted = pids.iter().filter_map(|pid| read(Path::new(&format!("/proc/{pid}/io"))).ok());
        counted.fold((0, 0), |(reads, writes), io| {
            (reads + keyed(&io, "read_bytes:").unwrap_or(0), writes + keyed(&io, "write_bytes:").unwrap_or(0))
        })
    }
}

fn text(dir: &Path, file: &str) -> Option<String> {
    read(&dir.join(file)).ok()
}

/// The number in a file; `max` is none.
fn number(dir: &Path, file: &str) -> Option<u64> {
    text(dir, file)?.trim().parse().ok()
}
