//! Where state lives.

use std::path::{Path, PathBuf};

use crate::{Environment, Inputs};

/// The two state directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// Images, containers, caches: survives a reboot. `$STOCKADE_ROOT`, or `/var/lib/stockade` for root and
    /// `$XDG_DATA_HOME/stockade` for others.
    pub root: PathBuf,
    /// Locks and sockets: gone after a reboot. `$STOCKADE_RUN`, or `/run/stockade` for root and
    /// `$XDG_RUNTIME_DIR/stockade` for others.
    pub run: PathBuf,
}

impl Dirs {
    pub(crate) fn resolve(inputs: &Inputs<'_>) -> Dirs {
        let env = inputs.environment;
        let pick = |given: Option<&Path>, variable: &str, default: PathBuf| {
            let chosen = given.map(Path::to_owned).or_else(|| env.get(variable).map(PathBuf::from)).unwrap_or(default);
            // Relative paths would change their meaning with the working directory of a later command.
            std::path::absolute(&chosen).unwrap_or(chosen)
        };
        let (root, run) = if inputs.root_user {
            (PathBuf::from("/var/lib/stockade"), PathBuf::from("/run/stockade"))
        } else {
            (user_data(env).join("stockade"), user_runtime(env).join("stockade"))
        };
        Dirs { root: pick(inputs.root, "STOCKADE_ROOT", root), run: pick(inputs.run, "STOCKADE_RUN", run) }
    }
}

fn home(env: &dyn Environment) -> PathBuf {
    env.get("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn user_data(env: &dyn Environment) -> PathBuf {
    env.get("XDG_DATA_HOME").map_or_else(|| home(env).join(".local/share"), PathBuf::from)
}

fn user_runtime(env: &dyn Environment) -> PathBuf {
    // Without a runtime directory of the session the data directory is the only place that is surely the user's own.
    env.get("XDG_RUNTIME_DIR").map_or_else(|| user_data(env).join("stockade-run"), PathBuf::from)
}

pub(crate) fn user_config(env: &dyn Environment) -> Option<PathBuf> {
    env.get("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| env.get("HOME").map(|home| PathBuf::from(home).join(".config")))
}
