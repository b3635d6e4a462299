//! What is kept of a container: one directory a container below the root, with `state.json`, a copy of the
//! configuration, and the gate while the container waits to be started.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stockade_sandbox::IdMap;
use stockade_sandbox::cgroup::Cgroup;
use stockade_sandbox::process::start_time;

use crate::spec::{IdMapping, Spec};
use crate::{OciError, Result};

/// The name of the gate.
pub(crate) const GATE: &str = "start";

/// A container's status (`runtime.md`, "State"; `paused` is runc's addition).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is being made.
    Creating,
    /// It waits to be started.
    Created,
    /// Its program runs.
    Running,
    /// Its processes stand still.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// What is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    /// 0 while it is being made.
    pub(crate) pid: i32,
    /// With the pid, an identity that is not used twice.
    pub(crate) pid_start: u64,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) cgroup: String,
    pub(crate) rootfs: PathBuf,
    /// Of the user namespace, if the container has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid_map: Option<Vec<IdMapping>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gid_map: Option<Vec<IdMapping>>,
    #[serde(default)]
    pub(crate) annotations: std::collections::BTreeMap<String, String>,
}

/// A container that exists.
#[derive(Debug, Clone)]
pub struct Container {
    pub(crate) dir: PathBuf,
    pub(crate) stored: Stored,
}

pub(crate) fn check_id(id: &str) -> Result<()> {
    let good = !id.is_empty()
        && id.len() <= 1024
        && id != "."
        && id != ".."
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-' | b'.'));
    if good { Ok(()) } else { Err(OciError::BadId { id: id.to_owned() }) }
}

impl Container {
    /// Claims the id by making its directory.
    pub(crate) fn claim(root: &Path, id: &str) -> Result<PathBuf> {
        check_id(id)?;
        stockade_durable::create_private_dir(root)?;
        let dir = root.join(id);
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => Ok(dir),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(OciError::Exists { id: id.to_owned() }),
            Err(e) => Err(OciError::io("make the directory", dir)(e)),
        }
    }

    /// Reads what is stored.
    pub(crate) fn load(root: &Path, id: &str) -> Result<Container> {
        check_id(id)?;
        let dir = root.join(id);
        let path = dir.join("state.json");
        match std::fs::read(&path) {
            Ok(bytes) => {
                let stored = serde_json::from_slice(&bytes).map_err(|source| OciError::Json { path, source })?;
                Ok(Container { dir, stored })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(OciError::NotFound { id: id.to_owned() }),
            Err(e) => Err(OciError::io("read", path)(e)),
        }
    }

    pub(crate) fn save(&self) -> Result<()> {
        let text =
            serde_json::to_vec(&self.stored).map_err(|source| OciError::Json { path: self.dir.clone(), source })?;
        // State does not outlive a reboot: no need to reach the disk.
        Ok(stockade_durable::write_volatile(&self.dir.join("state.json"), &text, 0o600)?)
    }

    /// The configuration as it was when the container was created.
    pub fn configuration(&self) -> Result<Spec> {
        self.spec()
    }

    pub(crate) fn spec(&self) -> Result<Spec> {
        read_spec(&self.dir.join("config.json"))
    }

    /// The directory, open: the way to the gate.
    pub(crate) fn open_dir(&self) -> Result<File> {
        File::open(&self.dir).map_err(OciError::io("open", &self.dir))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.stored.id
    }

    /// The first process, by its id on the host.
    pub fn pid(&self) -> i32 {
        self.stored.pid
    }

    /// Its control group.
    pub fn cgroup(&self) -> Cgroup {
        Cgroup::open(&self.stored.cgroup)
    }

    pub(crate) fn id_map(&self) -> Option<IdMap> {
        let ranges = |list: &Option<Vec<IdMapping>>| {
            list.as_ref().map(|list| {
                let range = |m: &IdMapping| stockade_sandbox::IdRange {
                    inside: m.container_id,
                    outside: m.host_id,
                    count: m.size,
                };
                list.iter().map(range).collect()
            })
        };
        Some(IdMap { uid: ranges(&self.stored.uid_map)?, gid: ranges(&self.stored.gid_map)? })
    }

    /// Whether the first process is alive.
    pub(crate) fn is_alive(&self) -> bool {
        self.stored.pid > 0 && start_time(self.stored.pid) == Some(self.stored.pid_start) && !is_zombie(self.stored.pid)
    }

    /// Its status, now.
    pub fn status(&self) -> Status {
        if self.stored.pid == 0 {
            return Status::Creating;
        }
        if !self.is_alive() {
            return Status::Stopped;
        }
        if self.dir.join(GATE).exists() {
            return Status::Created;
        }
        if !self.stored.cgroup.is_empty() && self.cgroup().is_frozen() { Status::Paused } else { Status::Running }
    }

    /// The state as the specification has it, with runc's additions.
    pub fn state(&self) -> serde_json::Value {
        let status = self.status();
        let pid = if status == Status::Stopped { 0 } else { self.stored.pid };
        serde_json::json!({
            "ociVersion": crate::SPEC_VERSION,
            "id": self.stored.id,
            "pid": pid,
            "status": status.name(),
            "bundle": self.stored.bundle,
            "rootfs": self.stored.rootfs,
            "created": self.stored.created,
            "annotations": self.stored.annotations,
            "owner": "",
        })
    }
}

/// Reads a configuration.
pub(crate) fn read_spec(path: &Path) -> Result<Spec> {
    read_spec_and_bytes(path).map(|(spec, _)| spec)
}

/// As [`read_spec`], with the file's content as it was read.
pub(crate) fn read_spec_and_bytes(path: &Path) -> Result<(Spec, Vec<u8>)> {
    let bytes = std::fs::read(path).map_err(OciError::io("read", path))?;
    let spec = serde_json::from_slice(&bytes).map_err(|source| OciError::Json { path: path.to_owned(), source })?;
    Ok((spec, bytes))
}

/// Ended, and not waited for (proc_pid_stat(5)).
fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_directories_and_nothing_more() {
        for good in ["a", "A-b_c.d+e", &"x".repeat(1024)] {
            check_id(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "a b", "ü", &"x".repeat(1025)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_claimed_once() {
        let root = tempfile::tempdir().unwrap();
        Container::claim(root.path(), "c").unwrap();
        assert!(matches!(Container::claim(root.path(), "c"), Err(OciError::Exists { .. })));
        assert!(matches!(Container::load(root.path(), "c"), Err(OciError::NotFound { .. })));
    }
}
