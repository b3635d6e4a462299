//! What every command starts from: settings and the way to the person.

use std::path::PathBuf;

use stockade_config::{Inputs, ProcessEnvironment, Settings};

use crate::failure::Failure;

/// Options that every command takes.
#[derive(Debug, clap::Args)]
pub struct GlobalArgs {
    /// Directory of images and containers [default: /var/lib/stockade for root]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options",
        env = "STOCKADE_ROOT",
        hide_env_values = true
    )]
    pub root: Option<PathBuf>,
    /// Directory of volatile state [default: /run/stockade for root]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options",
        env = "STOCKADE_RUN",
        hide_env_values = true
    )]
    pub run_root: Option<PathBuf>,
    /// Configuration file, instead of the system's and the user's
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options",
        env = "STOCKADE_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
}

/// What every command starts from.
#[derive(Debug)]
pub struct Context {
    /// Resolved settings.
    pub settings: Settings,
}

impl Context {
    /// Resolves settings; the working directory may hold the project's `stockade.toml`.
    pub fn new(global: &GlobalArgs) -> Result<Context, Failure> {
        let here = std::env::current_dir().ok();
        let settings = Settings::resolve(&Inputs {
            root: global.root.as_deref(),
            run: global.run_root.as_deref(),
            config: global.config.as_deref(),
            project: here.as_deref(),
            environment: &ProcessEnvironment,
            root_user: rustix::process::geteuid().is_root(),
        })?;
        Ok(Context { settings })
    }

    /// Fails where a command needs root, and says what for.
    pub fn need_root(&self, what: &str) -> Result<(), Failure> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Failure::new(format!("{what} needs root, and this is user {}", rustix::process::geteuid().as_raw()))
            .hint("run it as root, for example with sudo: namespaces, overlay mounts and the bridge are made with root's rights"))
    }
}
