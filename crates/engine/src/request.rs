//! What `run` and `create` ask for, before it is resolved against an image.

use std::collections::BTreeMap;

use stockade_image::Verify;
use stockade_image::config::Healthcheck;
use stockade_network::PortMapping;

use crate::restart::RestartPolicy;
use crate::spec::{LimitSpec, LogOptions, MountSpec, SeccompChoice, Shared};
use crate::{Level, NetMode};

/// What `run` and `create` ask for. `None` and empty leave the matter to the image or to the level.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// Image name or id.
    pub image: String,
    /// Container name; `None` makes one up.
    pub name: Option<String>,
    /// Arguments after the image.
    pub command: Vec<String>,
    /// `--entrypoint`; `Some("")` clears the image's.
    pub entrypoint: Option<String>,
    /// `NAME=value`, resolved against the caller's environment.
    pub env: Vec<String>,
    /// `-w`
    pub workdir: Option<String>,
    /// `-u`
    pub user: Option<String>,
    /// `-h`
    pub hostname: Option<String>,
    /// `--domainname`
    pub domainname: Option<String>,
    /// `-t`
    pub tty: bool,
    /// `-i`
    pub interactive: bool,
    /// `-a`: `stdin`, `stdout`, `stderr`.
    pub attach: Vec<String>,
    /// `-l` and `--label-file`
    pub labels: BTreeMap<String, String>,
    /// `--network`; `None` takes the level's. A container's name may stand in [`NetMode::Container`].
    pub network: Option<NetMode>,
    /// `-p`
    pub publish: Vec<PortMapping>,
    /// `-P`
    pub publish_all: bool,
    /// `--expose`: `80` or `80/tcp`.
    pub expose: Vec<String>,
    /// `--dns`
    pub dns: Vec<String>,
    /// `--dns-search`
    pub dns_search: Vec<String>,
    /// `--dns-option`
    pub dns_options: Vec<String>,
    /// `--add-host`
    pub extra_hosts: Vec<String>,
    /// `-v`, `--mount`, `--tmpfs`
    pub mounts: Vec<MountSpec>,
    /// `--memory` and its kin.
    pub limits: LimitSpec,
    /// `--restart`
    pub restart: RestartPolicy,
    /// `--rm`
    pub auto_remove: bool,
    /// `--init`
    pub init: bool,
    /// `--stop-signal`
    pub stop_signal: Option<String>,
    /// `--stop-timeout`, seconds.
    pub stop_timeout: Option<i64>,
    /// `--health-*`, laid over the image's.
    pub health: Option<Healthcheck>,
    /// `--no-healthcheck`
    pub no_health: bool,
    /// `--ulimit`: (name, soft, hard).
    pub ulimits: Vec<(String, u64, u64)>,
    /// `--shm-size`, bytes.
    pub shm_bytes: Option<u64>,
    /// `--sysctl`
    pub sysctls: BTreeMap<String, String>,
    /// `--device`: (host, inside, access).
    pub devices: Vec<(String, String, String)>,
    /// `--group-add`
    pub group_add: Vec<String>,
    /// `--oom-score-adj`
    pub oom_score_adj: Option<i32>,
    /// `--log-opt`, `--log-driver`
    pub log: LogOptions,
    /// `--detach-keys`
    pub detach_keys: String,
    /// `--cidfile`, for `inspect`; the caller writes it.
    pub cid_file: String,
    /// `--confine`
    pub level: Level,
    /// How the image's layers are verified at each start.
    pub verify: Verify,
    /// `--privileged`
    pub privileged: bool,
    /// `--cap-add`
    pub cap_add: Vec<String>,
    /// `--cap-drop`
    pub cap_drop: Vec<String>,
    /// `--security-opt no-new-privileges[:false]`; `None` takes the level's.
    pub no_new_privileges: Option<bool>,
    /// `--security-opt seccomp=…`
    pub seccomp: SeccompChoice,
    /// `--security-opt seccomp=FILE`: the file's name and text. It is read against the container's capabilities.
    pub seccomp_profile: Option<(String, String)>,
    /// `--security-opt systempaths=unconfined`
    pub system_paths_open: bool,
    /// `--read-only`; `None` takes the level's.
    pub read_only: Option<bool>,
    /// `--userns host`
    pub userns_host: bool,
    /// `--pid`; a container's name may stand in [`Shared::Container`].
    pub pid: Shared,
    /// `--ipc`
    pub ipc: Shared,
    /// `--uts host`
    pub uts_host: bool,
    /// `--cgroupns host`
    pub cgroupns_host: bool,
}
