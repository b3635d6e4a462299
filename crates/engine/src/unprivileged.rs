//! What is different for a user who is not root: which limits hold, which users exist, whose processes are whose.

use std::fs;

use stockade_sandbox::cgroup::{Cgroup, Stats};
use stockade_sandbox::{IdMap, Limits, Rlimit, User, process, rootless};

use crate::error::EngineError;
use crate::level::Level;
use crate::plan::host_memory_bytes;
use crate::record::State;
use crate::spec::LimitSpec;
use crate::top::ProcessRow;

/// Where a user gets groups with limits from.
const DELEGATE: &str =
    "`systemd-run --user --scope -p Delegate=yes stockade …` gives you one where systemd runs your session";

/// The limits in force. Without root only those hold for which the user was given a control group: a limit that was asked
/// for and cannot hold is an error, a level's own is left out (and `explain` says so).
pub(crate) fn limits(asked: &LimitSpec, level: Level) -> Result<Limits, EngineError> {
    limits_where(asked, level, rootless::active().is_some(), &Cgroup::can_limit)
}

fn limits_where(
    asked: &LimitSpec,
    level: Level,
    rootless: bool,
    can_limit: &dyn Fn(&str) -> bool,
) -> Result<Limits, EngineError> {
    let mut limits = asked.in_force(level, host_memory_bytes());
    if !rootless {
        return Ok(limits);
    }
    let given = |value: Option<u64>| value.is_some_and(|n| n != 0);
    let refuse = |option: &str, controller: &str| {
        Err(EngineError::usage(format!(
            "{option} needs a control group of your own with the `{controller}` controller, and you have none: leave it out, or run as root; {DELEGATE}"
        )))
    };
    if !can_limit("memory") {
        if given(asked.memory_bytes) || given(asked.memory_swap_bytes) || given(asked.memory_reservation_bytes) {
            return refuse("--memory", "memory");
        }
        (limits.memory_bytes, limits.memory_swap_bytes, limits.memory_reservation_bytes) = (None, None, None);
    }
    if !can_limit("cpu") {
        if given(asked.cpu_millis) || given(asked.cpu_shares) {
            return refuse("--cpus or --cpu-shares", "cpu");
        }
        (limits.cpu_millis, limits.cpu_shares) = (None, None);
    }
    if !can_limit("pids") {
        limits.pids = None;
    }
    Ok(limits)
}

/// Without a control group the number of processes is limited for each user of the container (`RLIMIT_NPROC`, which
/// user namespaces count by themselves since Linux 5.14).
pub(crate) fn process_limit(asked: &LimitSpec, level: Level, ulimits: &mut Vec<Rlimit>) {
    let wanted = asked.in_force(level, 0).pids;
    let (Some(pids), Some(_)) = (wanted, rootless::active()) else { return };
    if Cgroup::can_limit("pids") || ulimits.iter().any(|l| l.name == "nproc") {
        return;
    }
    // Nobody but root can have more than there was.
    let most = rustix::process::getrlimit(rustix::process::Resource::Nproc).maximum.unwrap_or(u64::MAX);
    ulimits.push(Rlimit { name: "nproc".to_owned(), soft: pids.min(most), hard: pids.min(most) });
}

/// Why a container cannot be frozen.
pub(crate) fn no_freezer(error: stockade_sandbox::SandboxError) -> EngineError {
    match error {
        stockade_sandbox::SandboxError::NoController { .. } if rootless::active().is_some() => EngineError::Refused {
            message: format!(
                "a container is frozen by its control group, and this user was given none; stop it instead, or run it as root; {DELEGATE}"
            ),
        },
        other => other.into(),
    }
}

/// Refuses a user or group that has no id on the host.
pub(crate) fn check_user(user: &User, map: Option<&IdMap>) -> Result<(), EngineError> {
    let Some(map) = map else { return Ok(()) };
    let missing = if map.host_uid(user.uid).is_none() {
        ("user", user.uid)
    } else if map.host_gid(user.gid).is_none() {
        ("group", user.gid)
    } else {
        return Ok(());
    };
    Err(EngineError::usage(format!(
        "{} {} of the container has no id on the host: you have {}; add a line for you to /etc/subuid and /etc/subgid (`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME`) and install `uidmap`",
        missing.0,
        missing.1,
        if rootless::active().is_some_and(rootless::Rootless::single_id) { "only your own" } else { "too few of them" }
    )))
}

/// What to tell a user who has no id but the own, once.
pub fn single_id_note() -> Option<String> {
    rootless::active().filter(|r| r.single_id()).map(|_| {
        "there is one user id here, yours: files cannot be given to other users, and programs cannot become one; install `uidmap` and add a line for you to /etc/subuid and /etc/subgid".to_owned()
    })
}

/// Kills a container whose monitor was killed, where no control group tells its processes.
pub(crate) fn kill_leftover(state: &State) {
    if rootless::active().is_none() || state.pid <= 0 {
        return;
    }
    let Ok(pidfd) = process::open_pid(state.pid) else { return };
    if process::start_time(state.pid) == Some(state.pid_start) {
        use std::os::fd::AsFd;
        // The first process of a pid namespace takes all others along.
        let _ = process::send_signal(pidfd.as_fd(), crate::signals::KILL);
    }
}

/// Ids of the processes in the pid namespace of `pid`: a container's, where no control group tells.
pub(crate) fn pids_beside(pid: i32) -> Vec<i32> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = namespace(pid) else { return Vec::new() };
    if namespace(i32::try_from(std::process::id()).unwrap_or(0)).as_ref() == Some(&own) {
        return vec![pid];
    }
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|other| namespace(*other).as_ref() == Some(&own)).collect()
}

/// Counters of processes that no control group counts.
pub(crate) fn stats(rows: &[ProcessRow]) -> Stats {
    /// proc_pid_stat(5): Linux shows times in hundredths of a second.
    const TICK_NS: u64 = 10_000_000;
    Stats {
        memory_bytes: rows.iter().map(|r| r.resident_bytes).sum(),
        cpu_ns: rows.iter().map(|r| r.cpu_ticks.saturating_mul(TICK_NS)).sum(),
        pids: rows.len() as u64,
        ..Stats::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_hold_are_refused_if_asked_for_and_left_out_otherwise() {
        let none = |_: &str| false;
        let plain = LimitSpec::default();
        let got = limits_where(&plain, Level::Standard, true, &none).unwrap();
        assert_eq!(got, Limits::default());
        assert!(limits_where(&plain, Level::Standard, false, &none).unwrap().memory_bytes.is_some());
        let memory = LimitSpec { memory_bytes: Some(64 << 20), ..plain };
        let refused = limits_where(&memory, Level::Standard, true, &none).unwrap_err();
        assert!(refused.is_usage() && refused.to_string().contains("--memory"));
        let cpus = LimitSpec { cpu_millis: Some(500), ..plain };
        assert!(
            limits_where(&cpus, Level::Standard, true, &|c| c == "memory").unwrap_err().to_string().contains("--cpus")
        );
        let delegated = limits_where(&memory, Level::Standard, true, &|_| true).unwrap();
        assert_eq!(delegated.memory_bytes, Some(64 << 20));
        assert!(delegated.pids.is_some());
    }

    #[test]
    fn users_without_an_id_are_refused_with_the_way_out() {
        let user = |uid, gid| User { uid, gid, ..User::default() };
        let map = IdMap::contiguous(0, 1);
        assert!(check_user(&user(0, 0), Some(&map)).is_ok());
        assert!(check_user(&user(7, 7), None).is_ok());
        assert!(check_user(&user(7, 0), Some(&map)).unwrap_err().to_string().contains("/etc/subuid"));
        assert!(check_user(&user(0, 7), Some(&map)).unwrap_err().to_string().contains("group 7"));
    }

    #[test]
    fn processes_of_our_own_namespace_are_not_the_containers() {
        let own = std::process::id() as i32;
        assert_eq!(pids_beside(own), [own]);
        assert!(pids_beside(-1).is_empty());
    }
}
