//! `top` and `stats`: what runs in a container, and what it uses.

use std::fs;

use stockade_sandbox::cgroup::{Cgroup, Stats};

use crate::error::EngineError;
use crate::record::{Record, Status};
use crate::{Engine, paths, unprivileged};

/// One process of a container, in the host's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRow {
    /// User id on the host.
    pub uid: u32,
    /// Process id on the host.
    pub pid: i32,
    /// Parent's.
    pub ppid: i32,
    /// CPU time used, in clock ticks (100 a second on Linux).
    pub cpu_ticks: u64,
    /// Start, in clock ticks since boot.
    pub start_ticks: u64,
    /// Controlling terminal's device number, 0 for none.
    pub tty: i32,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// State letter: `R`, `S`, `D`, …
    pub state: char,
    /// Arguments joined by spaces, or `[name]`.
    pub command: String,
}

/// Counters of a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Memory, CPU, processes, block devices.
    pub cgroup: Stats,
    /// Bytes received by its network interfaces but the loopback.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
}

impl Engine {
    /// The processes of a running container, by process id.
    pub fn top(&self, name: &str) -> Result<Vec<ProcessRow>, EngineError> {
        let record = self.running(name)?;
        let mut pids = Cgroup::of(&paths::cgroup(&record.spec.id), record.state.pid).pids()?;
        if pids.is_empty() {
            pids = unprivileged::pids_beside(record.state.pid);
        }
        pids.sort_unstable();
        // One that ended between the two looks has no row.
        Ok(pids.into_iter().filter_map(read_process).collect())
    }

    /// What a running container uses now.
    pub fn usage(&self, name: &str) -> Result<Usage, EngineError> {
        let record = self.running(name)?;
        let group = Cgroup::of(&paths::cgroup(&record.spec.id), record.state.pid);
        let cgroup = if group.pids()?.is_empty() { unprivileged::stats(&self.top(name)?) } else { group.stats()? };
        let text = fs::read_to_string(format!("/proc/{}/net/dev", record.state.pid)).unwrap_or_default();
        let (received_bytes, sent_bytes) = network_bytes(&text);
        Ok(Usage { cgroup, received_bytes, sent_bytes })
    }

    fn running(&self, name: &str) -> Result<Record, EngineError> {
        let record = self.find(name)?;
        if matches!(record.state.status, Status::Running | Status::Paused) {
            return Ok(record);
        }
        Err(EngineError::WrongState {
            name: name.to_owned(),
            status: record.state.status.name().to_owned(),
            hint: ", not running",
        })
    }
}

/// Sums of proc_pid_net(5) `dev`, without the loopback: (received, sent).
fn network_bytes(text: &str) -> (u64, u64) {
    let mut sums = (0u64, 0u64);
    for line in text.lines().skip(2) {
        let Some((name, counters)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let numbers: Vec<u64> = counters.split_whitespace().map(|n| n.parse().unwrap_or(0)).collect();
        sums.0 = sums.0.saturating_add(numbers.first().copied().unwrap_or(0));
        sums.1 = sums.1.saturating_add(numbers.get(8).copied().unwrap_or(0));
    }
    sums
}

fn read_process(pid: i32) -> Option<ProcessRow> {
    use std::os::unix::fs::MetadataExt;
    let dir = format!("/proc/{pid}");
    let uid = fs::metadata(&dir).ok()?.uid();
    let stat = fs::read_to_string(format!("{dir}/stat")).ok()?;
    let arguments = fs::read(format!("{dir}/cmdline")).unwrap_or_default();
    parse_stat(&stat, uid, &arguments)
}

/// proc_pid_stat(5): the name stands in parentheses and may hold any character, so fields are counted after the last one.
fn parse_stat(stat: &str, uid: u32, arguments: &[u8]) -> Option<ProcessRow> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    let words: Vec<String> = arguments
        .split(|b| *b == 0)
        .filter(|w| !w.is_empty())
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect();
    Some(ProcessRow {
        uid,
        pid: pid.trim().parse().ok()?,
        ppid: fields.get(1)?.parse().ok()?,
        cpu_ticks: number(11).saturating_add(number(12)),
        start_ticks: number(19),
        tty: fields.get(4)?.parse().ok()?,
        resident_bytes: number(21).saturating_mul(4096),
        state: fields.first()?.chars().next()?,
        command: if words.is_empty() { format!("[{name}]") } else { words.join(" ") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 7 42 42 34816 42 4194304 1 0 0 0 5 6 0 0 20 0 1 0 1234 1000 25 0";
        let row = parse_stat(stat, 9, b"sh\0-c\0x y\0").unwrap();
        assert_eq!((row.pid, row.ppid, row.state, row.tty), (42, 7, 'S', 34816));
        assert_eq!((row.cpu_ticks, row.start_ticks, row.resident_bytes), (11, 1234, 25 * 4096));
        assert_eq!(row.command, "sh -c x y");
        assert_eq!(parse_stat(stat, 9, b"").unwrap().command, "[a) b (c)]");
        assert!(parse_stat("garbage", 0, b"").is_none());
    }

    #[test]
    fn the_loopback_is_no_traffic() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n  eth0: 5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n";
        assert_eq!(network_bytes(text), (5, 7));
    }
}
