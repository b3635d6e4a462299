//! What every command starts from: settings and the way to the person.

use std::path::PathBuf;

use stockade_config::{Inputs, ProcessEnvironment, Settings};
use stockade_sandbox::rootless;

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
    /// Why this user could not become root of a user namespace, where that was tried.
    pub unprivileged: Option<String>,
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
            // Root of a user namespace keeps its things where its user has them.
            root_user: rustix::process::geteuid().is_root() && !rootless::in_namespace_of_a_user(),
        })?;
        Ok(Context { settings, unprivileged: None })
    }

    /// Makes a user who is not root the root of a user namespace, in which the verbs work as for root. Where that cannot
    /// be, those that need it say why.
    pub fn become_root_of_a_namespace(&mut self) {
        let run = &self.settings.dirs.run;
        if rustix::process::geteuid().is_root() {
            if rootless::active().is_some() {
                rootless::register(run);
            }
            return;
        }
        // Comes back only with an error.
        let entered = rootless::enter(run).and_then(|()| stockade_sandbox::process::run_again());
        self.unprivileged = entered.err().map(|e| Failure::from(e).to_string());
    }

    /// Fails where a command needs root, and says what for.
    pub fn need_root(&self, what: &str) -> Result<(), Failure> {
        if rustix::process::geteuid().is_root() && self.unprivileged.is_none() {
            return Ok(());
        }
        Err(Failure::new(format!("{what} needs root, and this is user {}", rustix::process::geteuid().as_raw()))
            .hint(self.unprivileged.clone().unwrap_or_else(|| "run it as root, for example with sudo".to_owned())))
    }
}
