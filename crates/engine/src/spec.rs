//! A container's specification: everything that was asked for, resolved against its image, as it lies on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stockade_image::Verify;
use stockade_image::config::Healthcheck;
use stockade_network::PortMapping;
use stockade_sandbox::{Limits, SeccompPolicy};

use crate::restart::RestartPolicy;
use crate::{Level, NetMode};

/// A container, resolved. Written once at creation (`update` and `rename` are the exceptions).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// RFC 3339 time of creation.
    pub created: String,
    /// Image id: `sha256:…` of its configuration.
    pub image: String,
    /// The image as the user named it.
    pub image_name: String,
    /// Lower directories of the root, topmost first, as they were at creation. The lease keeps them in place.
    pub lower: Vec<PathBuf>,
    /// Entrypoint in force.
    pub entrypoint: Vec<String>,
    /// Arguments after it.
    pub command: Vec<String>,
    /// Environment, `NAME=value`, image's first.
    pub env: Vec<String>,
    /// Working directory inside; empty is `/`.
    pub cwd: String,
    /// `USER` in force, as text; empty is root.
    pub user: String,
    /// Host name; empty takes the short id.
    pub hostname: String,
    /// NIS domain name; empty is none.
    pub domainname: String,
    /// Give it a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub interactive: bool,
    /// Which streams a foreground run or `start -a` attaches.
    pub attach: Vec<String>,
    /// The image's labels and the user's.
    pub labels: BTreeMap<String, String>,
    /// What a signal to stop is; `SIGTERM` when empty.
    pub stop_signal: String,
    /// Seconds between it and SIGKILL; `None` is 10, -1 is for ever.
    pub stop_timeout: Option<i64>,
    /// Health check in force.
    pub health: Option<Healthcheck>,
    /// Ports that the image or `--expose` names, `80/tcp`.
    pub exposed: Vec<String>,
    /// Volumes that the image declares.
    pub image_volumes: Vec<String>,
    /// Everything about the host's side.
    pub host: HostSpec,
    /// How it is confined.
    pub confine: ConfineSpec,
}

/// Resources and connections to the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    /// Network.
    pub network: NetMode,
    /// Published ports as asked for.
    pub publish: Vec<PortMapping>,
    /// `-P`: publish every exposed port on a free one.
    pub publish_all: bool,
    /// Name servers; empty takes the host's.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_options: Vec<String>,
    /// Extra lines of /etc/hosts as `name:address`; the address may be `host-gateway`.
    pub extra_hosts: Vec<String>,
    /// Mounts besides the usual ones.
    pub mounts: Vec<MountSpec>,
    /// Limits as asked for; the level's defaults are filled in when it starts.
    pub limits: LimitSpec,
    /// Restart policy.
    pub restart: RestartPolicy,
    /// `--rm`
    pub auto_remove: bool,
    /// `--init`
    pub init: bool,
    /// Resource limits of processes: (`nofile`, soft, hard).
    pub ulimits: Vec<(String, u64, u64)>,
    /// Size of /dev/shm in bytes; `None` is 64 MiB.
    pub shm_bytes: Option<u64>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// Devices: (host path, path inside, access).
    pub devices: Vec<(String, String, String)>,
    /// Supplementary groups by name or number.
    pub group_add: Vec<String>,
    /// -1000..=1000
    pub oom_score_adj: Option<i32>,
    /// Log rotation.
    pub log: LogOptions,
    /// `--detach-keys`; empty is `ctrl-p,ctrl-q`.
    pub detach_keys: String,
    /// File that the container id was written to.
    pub cid_file: String,
}

/// How a container is confined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfineSpec {
    /// Level that everything below starts from.
    pub level: Level,
    /// What the options give away, one line each.
    pub weakened: Vec<String>,
    /// First host id of the container's range; `None` without a user namespace.
    pub id_range: Option<u32>,
    /// How the image's layers are verified at each start.
    #[serde(default)]
    pub verify: Verify,
    /// `--privileged`
    pub privileged: bool,
    /// `--cap-add`, as typed.
    pub cap_add: Vec<String>,
    /// `--cap-drop`, as typed.
    pub cap_drop: Vec<String>,
    /// `no_new_privs`.
    pub no_new_privileges: bool,
    /// System call filter.
    pub seccomp: SeccompChoice,
    /// `--security-opt systempaths=unconfined`: nothing under /proc and /sys is hidden.
    pub system_paths_open: bool,
    /// `--read-only`
    pub read_only: bool,
    /// Process ids.
    pub pid: Shared,
    /// System V and POSIX message queues and shared memory.
    pub ipc: Shared,
    /// Host name: true is the host's.
    pub uts_host: bool,
    /// Control groups: true is the host's view.
    pub cgroupns_host: bool,
}

/// A namespace that may be the container's own, the host's or another container's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shared {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another container's, by id.
    Container(String),
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shared::Private => f.write_str("private"),
            Shared::Host => f.write_str("host"),
            Shared::Container(id) => write!(f, "container:{id}"),
        }
    }
}

/// Which system call filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompChoice {
    /// The level's.
    #[default]
    Level,
    /// None.
    Unconfined,
    /// The user's own.
    Own(SeccompPolicy),
}

/// What a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountType {
    /// A path of the host.
    Bind,
    /// A named or anonymous volume.
    Volume,
    /// Memory.
    Tmpfs,
}

impl MountType {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            MountType::Bind => "bind",
            MountType::Volume => "volume",
            MountType::Tmpfs => "tmpfs",
        }
    }
}

/// One mount of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What it is.
    pub kind: MountType,
    /// Host path of a bind; name of a volume (empty until an anonymous one is made); empty for tmpfs.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    /// Read-only.
    pub readonly: bool,
    /// Propagation as docker names it (`rprivate`, `rslave`, …); empty is private.
    pub propagation: String,
    /// Do not bring along mounts below the source.
    pub non_recursive: bool,
    /// Do not fill an empty volume from the image.
    pub no_copy: bool,
    /// The volume was made for this container alone: `rm -v` and `--rm` remove it.
    pub anonymous: bool,
    /// Make the source directory when it is missing (`-v`, not `--mount`).
    pub create_source: bool,
    /// Limit of a tmpfs, in bytes.
    pub size_bytes: Option<u64>,
    /// Mode of a tmpfs.
    pub mode: Option<u32>,
    /// Files on it may be executed (tmpfs only; others may).
    pub exec: bool,
    /// As typed, for `inspect`.
    pub options: String,
}

impl Default for MountSpec {
    fn default() -> Self {
        MountSpec {
            kind: MountType::Bind,
            source: String::new(),
            target: String::new(),
            readonly: false,
            propagation: String::new(),
            non_recursive: false,
            no_copy: false,
            anonymous: false,
            create_source: false,
            size_bytes: None,
            mode: None,
            exec: false,
            options: String::new(),
        }
    }
}

/// Limits as the user gave them. `None` takes the level's default, `Some(0)` for memory and processes is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitSpec {
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Memory and swap, bytes; `u64::MAX` is unlimited swap.
    pub memory_swap_bytes: Option<u64>,
    /// Soft limit, bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Relative weight.
    pub cpu_shares: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl LimitSpec {
    /// The limits in force at a level on a host with so much memory: what was not given takes the level's default.
    pub fn in_force(&self, level: Level, host_memory_bytes: u64) -> Limits {
        let confined = level != Level::Compat;
        let given = |value: Option<u64>, default: u64| match value {
            Some(0) => None,
            Some(n) => Some(n),
            None => confined.then_some(default),
        };
        Limits {
            memory_bytes: given(self.memory_bytes, host_memory_bytes / 5 * 4),
            memory_swap_bytes: self.memory_swap_bytes.filter(|n| *n != u64::MAX && *n != 0),
            memory_reservation_bytes: self.memory_reservation_bytes.filter(|n| *n != 0),
            cpu_millis: self.cpu_millis.filter(|n| *n != 0),
            cpu_shares: self.cpu_shares.filter(|n| *n != 0),
            pids: given(self.pids, DEFAULT_PIDS),
        }
    }
}

/// Processes and threads of a container at `standard` (DESIGN §4).
pub const DEFAULT_PIDS: u64 = 1024;

/// Rotation of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// Keep no log.
    pub none: bool,
    /// Largest size of one file, in bytes.
    pub max_bytes: u64,
    /// How many files.
    pub max_files: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { none: false, max_bytes: 10 << 20, max_files: 3 }
    }
}

impl Spec {
    /// The whole command line.
    pub fn args(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.command).cloned().collect()
    }

    /// Host name in force.
    pub fn hostname_in_force(&self) -> &str {
        if self.hostname.is_empty() { crate::id::short(&self.id) } else { &self.hostname }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_fill_in_limits_that_were_not_given() {
        let none = LimitSpec::default();
        assert_eq!(none.in_force(Level::Compat, 1000), Limits::default());
        let limits = none.in_force(Level::Standard, 1000);
        assert_eq!((limits.memory_bytes, limits.pids), (Some(800), Some(DEFAULT_PIDS)));
        let unlimited = LimitSpec { memory_bytes: Some(0), pids: Some(0), ..LimitSpec::default() };
        assert_eq!(unlimited.in_force(Level::Standard, 1000), Limits::default());
        let given = LimitSpec { memory_bytes: Some(7), pids: Some(3), cpu_millis: Some(1500), ..LimitSpec::default() };
        let limits = given.in_force(Level::Standard, 1000);
        assert_eq!((limits.memory_bytes, limits.pids, limits.cpu_millis), (Some(7), Some(3), Some(1500)));
    }
}
