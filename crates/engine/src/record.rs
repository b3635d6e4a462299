//! A container's record on disk: read, write, and what is true of it.
//!
//! While a monitor lives it alone writes `state.json`. Whether it lives is told by the lock on its `monitor` file,
//! which the kernel gives up when the process dies, however it dies. A state of "running" without that lock is
//! therefore a leftover, and [`Record::load`] never reports it as running.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stockade_durable as durable;
use stockade_network::Published;

use crate::error::{EngineError, io_error};
use crate::paths::ContainerPaths;
use crate::spec::Spec;
use crate::{clock, id};

/// Docker's states of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    #[default]
    Created,
    /// Its first process runs.
    Running,
    /// Frozen.
    Paused,
    /// Between an end and the next start.
    Restarting,
    /// Ended.
    Exited,
}

impl Status {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
        }
    }

    /// Whether a monitor must be alive for this to be true.
    pub fn is_live(self) -> bool {
        matches!(self, Status::Running | Status::Paused | Status::Restarting)
    }
}

/// What is happening to a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// See [`Status`].
    pub status: Status,
    /// First process on the host; 0 when none.
    pub pid: i32,
    /// When that process started, in clock ticks since boot: with the id, an identity.
    pub pid_start: u64,
    /// Process id of the monitor; 0 when none.
    pub monitor_pid: i32,
    /// RFC 3339, or [`clock::NEVER`].
    pub started_at: String,
    /// RFC 3339, or [`clock::NEVER`].
    pub finished_at: String,
    /// Of the last end.
    pub exit_code: i32,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// Why it could not start, or what happened to its monitor.
    pub error: String,
    /// Starts by the restart policy.
    pub restart_count: u32,
    /// Stopped by hand: the restart policy rests.
    pub stopped_by_hand: bool,
    /// Its network endpoint while it runs.
    pub endpoint: Option<EndpointState>,
}

impl Default for State {
    fn default() -> Self {
        State {
            status: Status::Created,
            pid: 0,
            pid_start: 0,
            monitor_pid: 0,
            started_at: clock::NEVER.to_owned(),
            finished_at: clock::NEVER.to_owned(),
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            restart_count: 0,
            stopped_by_hand: false,
            endpoint: None,
        }
    }
}

/// Where a container is on the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Address.
    pub ip: Ipv4Addr,
    /// Length of the subnet's prefix, in bits.
    pub prefix: u8,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// Hardware address.
    pub mac: String,
    /// Name of the host's end.
    pub host_interface: String,
    /// Ports as published.
    pub ports: Vec<Published>,
}

/// A container as it is now.
#[derive(Debug, Clone)]
pub struct Record {
    /// What was asked for.
    pub spec: Spec,
    /// Its name.
    pub name: String,
    /// What is true of it. Never "running" without a living monitor.
    pub state: State,
    /// The disk said "running", but no monitor lives: processes, network or cgroup may be left.
    pub(crate) stale: bool,
}

impl Record {
    /// Reads a record, and sees whether its monitor lives.
    ///
    /// # Errors
    /// [`EngineError::NoSuchContainer`] when it is gone or not complete, [`EngineError::Damaged`] when unreadable.
    pub(crate) fn load(paths: &ContainerPaths, id: &str) -> Result<Record, EngineError> {
        // The monitor ends with: state written, then lock given up. Looking at the lock first would see a dead monitor
        // beside a "running" that is about to be corrected; reading the state again after the lock cannot.
        let mut state = read_state(paths);
        if state.status.is_live() && !monitor_alive(paths) {
            state = read_state(paths);
        }
        let spec = read_spec(paths, id)?;
        let name = fs::read_to_string(paths.name()).unwrap_or_else(|_| id::short(id).to_owned());
        let stale = state.status.is_live() && !monitor_alive(paths);
        if stale {
            state = died_with_monitor(state);
        }
        Ok(Record { spec, name, state, stale })
    }

    /// Whether it runs, frozen or not.
    pub fn is_running(&self) -> bool {
        matches!(self.state.status, Status::Running | Status::Paused)
    }
}

/// What a state becomes whose monitor is dead.
pub(crate) fn died_with_monitor(mut state: State) -> State {
    state.status = Status::Exited;
    // 137: the sandbox's processes are killed with the monitor.
    state.exit_code = 137;
    state.error = "its monitor process died (killed, or the machine restarted)".to_owned();
    if clock::parse(&state.finished_at) <= clock::parse(&state.started_at) {
        state.finished_at = clock::now();
    }
    state.pid = 0;
    state.monitor_pid = 0;
    state.endpoint = None;
    state
}

fn read_spec(paths: &ContainerPaths, id: &str) -> Result<Spec, EngineError> {
    let path = paths.config();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(EngineError::NoSuchContainer { name: id::short(id).to_owned() });
        }
        Err(e) => return Err(io_error("read", &path)(e)),
    };
    serde_json::from_slice(&bytes).map_err(|source| EngineError::Damaged { id: id::short(id).to_owned(), path, source })
}

/// A state that cannot be read (a power cut can empty a file that was not synced) is one of a container that ended.
pub(crate) fn read_state(paths: &ContainerPaths) -> State {
    match fs::read(paths.state()) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|_| State {
            status: Status::Exited,
            exit_code: 255,
            error: "its last state was lost (the machine stopped while it was written)".to_owned(),
            ..State::default()
        }),
        Err(_) => State::default(),
    }
}

/// Whether some process holds the monitor's lock.
pub(crate) fn monitor_alive(paths: &ContainerPaths) -> bool {
    let path = paths.monitor();
    if !path.exists() {
        return false;
    }
    matches!(durable::Lock::try_shared(&path), Ok(None))
}

/// Writes the specification. Durable: when this returns the container exists, also after a power cut; a container
/// that is removed when it ends needs no such promise.
pub(crate) fn write_spec(paths: &ContainerPaths, spec: &Spec) -> Result<(), EngineError> {
    write_json(&paths.config(), spec, !spec.host.auto_remove)
}

/// Writes the state. `lasting` for what must be known after a power cut: ends, not beginnings.
pub(crate) fn write_state(paths: &ContainerPaths, state: &State, lasting: bool) -> Result<(), EngineError> {
    write_json(&paths.state(), state, lasting)
}

fn write_json<T: Serialize>(path: &Path, value: &T, lasting: bool) -> Result<(), EngineError> {
    let bytes = serde_json::to_vec(value).map_err(|e| io_error("write", path)(std::io::Error::other(e)))?;
    if lasting {
        durable::write(path, &bytes, 0o600)?
    } else {
        durable::write_volatile(path, &bytes, 0o600)?
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> (tempfile::TempDir, ContainerPaths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = ContainerPaths::new(&dir.path().join("root"), &dir.path().join("run"), "c");
        fs::create_dir_all(&paths.dir).unwrap();
        fs::create_dir_all(&paths.run).unwrap();
        (dir, paths)
    }

    #[test]
    fn an_unreadable_state_is_an_end_not_a_panic() {
        let (_dir, paths) = paths();
        fs::write(paths.state(), b"").unwrap();
        let state = read_state(&paths);
        assert_eq!(state.status, Status::Exited);
        assert!(!state.error.is_empty());
    }

    #[test]
    fn a_monitor_is_alive_while_its_lock_is_held() {
        let (_dir, paths) = paths();
        assert!(!monitor_alive(&paths));
        let lock = durable::Lock::exclusive(&paths.monitor()).unwrap();
        assert!(monitor_alive(&paths));
        drop(lock);
        assert!(!monitor_alive(&paths));
    }

    #[test]
    fn a_running_state_without_a_monitor_is_an_end_with_a_reason() {
        let state = State { status: Status::Running, pid: 7, started_at: clock::now(), ..State::default() };
        let ended = died_with_monitor(state);
        assert_eq!((ended.status, ended.pid, ended.exit_code), (Status::Exited, 0, 137));
        assert!(clock::parse(&ended.finished_at) >= clock::parse(&ended.started_at));
    }
}
