//! The flags that `run` and `create` share: docker's names, docker's short letters.

use stockade_engine::{Level, NetMode, RestartPolicy};

/// Options of a container.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Container options")]
pub struct ContainerFlags {
    /// Name of the container
    #[arg(long)]
    pub name: Option<String>,
    /// Set an environment variable; NAME alone takes the caller's value
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Working directory inside
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User (name or id), with optional :GROUP
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Program instead of the image's entrypoint; empty clears it
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Host name inside
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// NIS domain name inside
    #[arg(long, value_name = "NAME")]
    pub domainname: Option<String>,
    /// Label, NAME=VALUE
    #[arg(short, long, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<String>,
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Attach stdin, stdout or stderr
    #[arg(short, long, value_name = "STREAM", value_parser = ["stdin", "stdout", "stderr", "STDIN", "STDOUT", "STDERR"], hide_possible_values = true)]
    pub attach: Vec<String>,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS", default_value = super::detach_keys::DEFAULT)]
    pub detach_keys: String,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Run a small init that reaps processes and passes signals on
    #[arg(long)]
    pub init: bool,
    /// When to start it again: no, always, unless-stopped, on-failure[:TIMES]
    #[arg(long, value_name = "POLICY", default_value = "no", hide_default_value = true)]
    pub restart: RestartPolicy,
    /// Signal that stops it
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds from the stop signal to SIGKILL; -1 waits for ever
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub stop_timeout: Option<i64>,
    /// Write the container's id to this file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<String>,
    /// When the image is pulled: missing, always or never
    #[arg(long, value_name = "WHEN", default_value = "missing", value_parser = ["missing", "never", "always"], hide_possible_values = true)]
    pub pull: String,
    /// Say nothing about the pull of the image
    #[arg(short, long)]
    pub quiet: bool,
    /// Platform of the image; only this machine's own
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Where the log goes: json-file or none
    #[arg(long, value_name = "DRIVER", default_value = "json-file", value_parser = ["json-file", "local", "none"], hide_possible_values = true)]
    pub log_driver: String,
    /// max-size=10m or max-file=3
    #[arg(long, value_name = "KEY=VALUE")]
    pub log_opt: Vec<String>,
    #[command(flatten)]
    pub storage: StorageFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
    #[command(flatten)]
    pub resources: ResourceFlags,
    #[command(flatten)]
    pub confine: ConfineFlags,
    #[command(flatten)]
    pub health: HealthFlags,
}

/// Mounts and devices.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Storage options")]
pub struct StorageFlags {
    /// Mount a host path or a named volume: [SOURCE:]TARGET[:ro,…]
    #[arg(short, long, value_name = "VOLUME")]
    pub volume: Vec<String>,
    /// Mount, in words: type=bind|volume|tmpfs,source=…,target=…
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<String>,
    /// Mount memory: TARGET[:size=64m,mode=1777,…]
    #[arg(long, value_name = "TMPFS")]
    pub tmpfs: Vec<String>,
    /// Make the root file system read-only
    #[arg(long)]
    pub read_only: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// Give it a device of the host: HOST[:INSIDE[:rwm]]
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
}

/// Network.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Network options")]
pub struct NetworkFlags {
    /// none, host, bridge or container:NAME
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    pub network: Option<NetMode>,
    /// Publish a port: [[IP:]HOST:]CONTAINER[/udp]
    #[arg(short, long, value_name = "PORT")]
    pub publish: Vec<String>,
    /// Publish every exposed port on a free one
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// Name a port of the container
    #[arg(long, value_name = "PORT")]
    pub expose: Vec<String>,
    /// Name server
    #[arg(long, value_name = "IP")]
    pub dns: Vec<String>,
    /// Search domain
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// Resolver option
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// Line of /etc/hosts: NAME:ADDRESS
    #[arg(long, value_name = "HOST")]
    pub add_host: Vec<String>,
}

/// Limits.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct ResourceFlags {
    /// Memory; 0 is no limit
    #[arg(short, long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Memory and swap together; -1 is no limit of swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// Memory that is left to it when the host runs short
    #[arg(long, value_name = "BYTES")]
    pub memory_reservation: Option<String>,
    /// CPU time, in cores: 1.5
    #[arg(long, value_name = "CORES")]
    pub cpus: Option<String>,
    /// Relative weight, 1024 being normal
    #[arg(short = 'c', long, value_name = "WEIGHT")]
    pub cpu_shares: Option<u64>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    pub cpu_quota: Option<i64>,
    /// Processes and threads; -1 is no limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Limit of a process: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub ulimit: Vec<String>,
    /// Kernel setting of the container's namespaces: NAME=VALUE
    #[arg(long, value_name = "SYSCTL")]
    pub sysctl: Vec<String>,
    /// How eagerly the kernel kills it when memory is short, -1000 to 1000
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub oom_score_adj: Option<i32>,
}

/// Confinement.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Confinement")]
pub struct ConfineFlags {
    /// Level: compat (as docker's default), standard, strict
    #[arg(long, value_name = "LEVEL", default_value = "standard")]
    pub confine: Level,
    /// What runs the container: only `stockade` (namespaces of the host's kernel) for now; `vm` is refused
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// As --runtime; `default` is docker's word for it
    #[arg(long, value_name = "NAME")]
    pub isolation: Option<String>,
    /// What findings in the image do: off, warn or deny, instead of `[gate] mode`
    #[arg(long, value_name = "MODE", value_parser = ["off", "warn", "deny"], hide_possible_values = true)]
    pub policy: Option<String>,
    /// Verify the image's layers on disk before each start: off, seal (what changed since it was last compared) or content
    /// (every byte), instead of `[image] verify`
    #[arg(long, value_name = "HOW", value_parser = ["off", "seal", "content"], hide_possible_values = true)]
    pub verify_image: Option<String>,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Take a capability away, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// All rights of root on the host
    #[arg(long)]
    pub privileged: bool,
    /// no-new-privileges[=false], seccomp=FILE, seccomp=unconfined, systempaths=unconfined
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Additional group
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// User namespace: host
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// Process ids: host or container:NAME
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// Shared memory: host, private or container:NAME
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// Host name: host
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// Control groups: host or private
    #[arg(long, value_name = "MODE")]
    pub cgroupns: Option<String>,
}

/// Health check.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Health check")]
pub struct HealthFlags {
    /// Command that tells whether it is healthy
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Time between checks
    #[arg(long, value_name = "DURATION")]
    pub health_interval: Option<String>,
    /// Time after which a check has failed
    #[arg(long, value_name = "DURATION")]
    pub health_timeout: Option<String>,
    /// Failures in this time after the start do not count
    #[arg(long, value_name = "DURATION")]
    pub health_start_period: Option<String>,
    /// Time between checks in the start period
    #[arg(long, value_name = "DURATION")]
    pub health_start_interval: Option<String>,
    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "NUMBER")]
    pub health_retries: Option<u64>,
    /// Leave the image's health check out
    #[arg(long)]
    pub no_healthcheck: bool,
}

/// The image and what follows it. Everything after the image belongs to the container, flags included.
#[derive(Debug, Clone, clap::Args)]
pub struct ImageAndCommand {
    /// Image, then the command and its arguments
    #[arg(value_names = ["IMAGE", "COMMAND"], required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    pub image_and_command: Vec<String>,
}
