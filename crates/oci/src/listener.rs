//! Handing the listener of a system call filter to whoever answers (`config-linux.md`, "The Container Process State").

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::spec::Spec;

/// Where the listener goes, and what is said with it.
pub(crate) struct Listener {
    path: PathBuf,
    metadata: String,
    /// The container's state.
    state: serde_json::Value,
    pid: i32,
}

impl Listener {
    /// If the configuration asks for one.
    pub(crate) fn of(spec: &Spec, id: &str, bundle: &Path, status: &str, pid: i32, container_pid: i32) -> Option<Self> {
        let seccomp = spec.linux.as_ref()?.seccomp.as_ref()?;
        let path = seccomp.listener_path.as_deref().filter(|p| !p.is_empty())?;
        let state = serde_json::json!({
            "ociVersion": crate::SPEC_VERSION,
            "id": id,
            "status": status,
            "pid": container_pid,
            "bundle": bundle,
            "annotations": spec.annotations,
        });
        let metadata = seccomp.listener_metadata.clone().unwrap_or_default();
        Some(Self { path: path.into(), metadata, state, pid })
    }

    /// Sends it.
    pub(crate) fn hand_over(&self, listener: OwnedFd) -> std::io::Result<()> {
        let text = serde_json::json!({
            "ociVersion": crate::SPEC_VERSION,
            "fds": ["seccompFd"],
            "pid": self.pid,
            "metadata": self.metadata,
            "state": self.state,
        });
        let stream = UnixStream::connect(&self.path)?;
        stockade_sandbox::process::send_fds(stream.as_fd(), text.to_string().as_bytes(), &[listener.as_fd()])
            .map_err(std::io::Error::other)
    }
}
