//! The arguments, by runc's names.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs containers from bundles, as runc does: for dockerd, containerd, CRI-O, Podman, and by hand
#[derive(Debug, Parser)]
#[command(
    name = "stockade oci",
    bin_name = "stockade oci",
    max_term_width = 110,
    arg_required_else_help = true,
    disable_version_flag = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// Print the version and the version of the specification
    #[arg(long, short = 'v')]
    pub version: bool,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Flags before the verb.
#[derive(Debug, Args)]
pub struct Global {
    /// Directory of the containers' state [default: /run/stockade/oci]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// File that errors and warnings are added to, beside standard error
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Format of the log
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub log_format: String,
    /// Log more
    #[arg(long)]
    pub debug: bool,
    /// Not available: groups are made in the cgroup file system itself
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Whether to work without root's rights, in a user namespace of the caller's: `true`, `false` or `auto`, which is for
    /// all but root
    #[arg(long, value_name = "BOOL", default_value = "auto", value_parser = ["auto", "true", "false"])]
    pub rootless: String,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a container from a bundle; it waits to be started
    Create(Create),
    /// Run the program of a created container
    Start { id: String },
    /// Make a container, start it, and wait for its end
    Run(Run),
    /// Print the state of a container
    State { id: String },
    /// Send a signal to a container's first process
    Kill(Kill),
    /// Remove what is left of a container
    Delete(Delete),
    /// Run another process in a container
    Exec(Box<Exec>),
    /// List the processes of a container
    Ps(Ps),
    /// Stop all processes of a container where they are
    Pause { id: String },
    /// Let the processes of a paused container go on
    Resume { id: String },
    /// Change limits of a container
    Update(Box<crate::update::Update>),
    /// List containers
    List(List),
    /// Print what this runtime can do
    Features,
    /// Write a configuration to start from
    Spec(Spec),
    /// Print counters of a container
    Events(Events),
    /// Not available
    #[command(hide = true)]
    Checkpoint(Refused),
    /// Not available
    #[command(hide = true)]
    Restore(Refused),
}

#[derive(Debug, Args)]
pub struct Refused {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Create {
    pub id: String,
    /// Directory of the bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Unix socket that the terminal is sent to
    #[arg(long, value_name = "PATH")]
    pub console_socket: Option<PathBuf>,
    /// Not available: processes are watched by descriptor
    #[arg(long, value_name = "PATH", hide = true)]
    pub pidfd_socket: Option<PathBuf>,
    /// File for the first process's id
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Not available: the root is always entered by pivot_root
    #[arg(long)]
    pub no_pivot: bool,
    /// Keep the session keyring
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Hand this many descriptors after the standard streams on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub create: Create,
    /// Do not wait for its end
    #[arg(long, short)]
    pub detach: bool,
    /// Keep the container after its end
    #[arg(long)]
    pub keep: bool,
    /// Not available: the nearest reaper gets a detached container
    #[arg(long, hide = true)]
    pub no_subreaper: bool,
}

#[derive(Debug, Args)]
pub struct Kill {
    pub id: String,
    /// Name or number [default: TERM]
    #[arg(default_value = "TERM")]
    pub signal: String,
    /// All processes of the container
    #[arg(long, short)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct Delete {
    pub id: String,
    /// Kill it first, if it runs; and do not mind if it is gone
    #[arg(long, short)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Exec {
    pub id: String,
    /// Program and arguments, where there is no --process
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// File with the process, as in config.json
    #[arg(long, short, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// Unix socket that the terminal is sent to
    #[arg(long, value_name = "PATH")]
    pub console_socket: Option<PathBuf>,
    /// Working directory
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Environment variable, added to the container's
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Give it a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// User id, and group id after a colon
    #[arg(long, short, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// Supplementary groups
    #[arg(long, short = 'g', value_name = "GID")]
    pub additional_gids: Vec<u32>,
    /// Do not wait for its end
    #[arg(long, short)]
    pub detach: bool,
    /// File for its process id
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// SELinux context
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// Let it gain no privileges
    #[arg(long)]
    pub no_new_privs: bool,
    /// Capability, added to the container's
    #[arg(long, short, value_name = "CAP")]
    pub cap: Vec<String>,
    /// Hand this many descriptors after the standard streams on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Not available: it joins the container's own group
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// Run it in a paused container, too
    #[arg(long)]
    pub ignore_paused: bool,
}

#[derive(Debug, Args)]
pub struct Ps {
    pub id: String,
    /// `table` or `json`, which is a list of ids
    #[arg(long, short, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// Not available: options of ps(1)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub options: Vec<String>,
}

#[derive(Debug, Args)]
pub struct List {
    /// `table` or `json`
    #[arg(long, short, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// Ids only
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Spec {
    /// Directory that config.json is written to
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// One that needs no root: a user namespace, the host's network, no limits
    #[arg(long)]
    pub rootless: bool,
}

#[derive(Debug, Args)]
pub struct Events {
    pub id: String,
    /// Once, and no more
    #[arg(long)]
    pub stats: bool,
    /// Seconds between two lines
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub interval: String,
}
