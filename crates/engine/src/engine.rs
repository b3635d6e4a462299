//! The handle that every verb hangs on.

use std::path::{Path, PathBuf};

/// Access to the containers under one root directory. Cheap to open, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Engine {
    root: PathBuf,
    run: PathBuf,
}

impl Engine {
    /// Uses `root` for what must survive a reboot and `run` for what must not.
    pub fn at(root: &Path, run: &Path) -> Engine {
        Engine { root: root.to_owned(), run: run.to_owned() }
    }

    /// Directory of durable state.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Directory of volatile state.
    pub fn run_dir(&self) -> &Path {
        &self.run
    }
}
