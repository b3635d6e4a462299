//! Where everything lies: one place that knows the directory layout.

use std::path::{Path, PathBuf};

/// The directories of one container.
#[derive(Debug, Clone)]
pub(crate) struct ContainerPaths {
    /// `<root>/containers/<id>`: survives a reboot.
    pub dir: PathBuf,
    /// `<run>/containers/<id>`: does not.
    pub run: PathBuf,
}

impl ContainerPaths {
    pub fn new(root: &Path, run: &Path, id: &str) -> ContainerPaths {
        ContainerPaths { dir: containers(root).join(id), run: run.join("containers").join(id) }
    }

    /// The resolved specification. Written once, and again by `update`.
    pub fn config(&self) -> PathBuf {
        self.dir.join("config.json")
    }

    /// What is happening to it. Written by the monitor while it lives, else by whoever holds [`Self::lock`].
    pub fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// The container's name, alone in a file so that a rename is one atomic write.
    pub fn name(&self) -> PathBuf {
        self.dir.join("name")
    }

    /// Output of the container, in docker's JSON lines.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub fn upper(&self) -> PathBuf {
        self.dir.join("upper")
    }

    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    pub fn hostname(&self) -> PathBuf {
        self.dir.join("hostname")
    }

    pub fn hosts(&self) -> PathBuf {
        self.dir.join("hosts")
    }

    pub fn resolv_conf(&self) -> PathBuf {
        self.dir.join("resolv.conf")
    }

    /// Results of health checks, rewritten by the monitor.
    pub fn health(&self) -> PathBuf {
        self.run.join("health.json")
    }

    /// Serialises the verbs that change a container that is not running: start, remove, rename.
    pub fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// Locked by the monitor for as long as it lives.
    pub fn monitor(&self) -> PathBuf {
        self.run.join("monitor")
    }

    /// Exists while `restart` is between stop and start: a container with `--rm` is not removed then.
    pub fn restarting(&self) -> PathBuf {
        self.run.join("restarting")
    }
}

/// Name of the monitor's socket inside [`ContainerPaths::run`].
pub(crate) const SOCKET: &str = "attach";

/// Directory that holds one directory a container.
pub(crate) fn containers(root: &Path) -> PathBuf {
    root.join("containers")
}

/// Directory of symbolic links: name to container id.
pub(crate) fn names(root: &Path) -> PathBuf {
    root.join("names")
}

/// Directory of symbolic links: number of a user id range to its holder.
pub(crate) fn id_ranges(root: &Path) -> PathBuf {
    root.join("idranges")
}

/// Directory of named volumes.
pub(crate) fn volumes(root: &Path) -> PathBuf {
    root.join("volumes")
}

/// The container's group below every cgroup hierarchy.
pub(crate) fn cgroup(id: &str) -> String {
    format!("stockade/{id}")
}
