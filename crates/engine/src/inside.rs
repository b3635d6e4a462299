//! Runs our own code inside a container's view of the file system, in a child that gives up everything else first.
//!
//! A path of a container means what it means inside: links are followed there, mounts are seen there, owners are the
//! container's. The child enters the user and mount namespaces of a running container, or the detached tree of one
//! that does not run, so nothing that the container prepared can lead it to a path of the host.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::thread::{
    LinkNameSpaceType, move_into_link_name_space, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stockade_sandbox::process;

use crate::error::{EngineError, system_error};
use crate::merged::{self, Writable};
use crate::record::Record;
use crate::{Engine, id};

/// Where to go.
pub(crate) enum Inside {
    /// Namespaces of a running container.
    Running { user: Option<OwnedFd>, mount: OwnedFd },
    /// The root of one that does not run.
    Tree(OwnedFd),
}

impl Engine {
    /// The file system of a container. `writable` matters only when it does not run.
    pub(crate) fn inside(&self, record: &Record, writable: bool) -> Result<Inside, EngineError> {
        let spec = &record.spec;
        if record.is_running() {
            let open = |kind: &str| {
                rustix::fs::open(
                    format!("/proc/{}/ns/{kind}", record.state.pid),
                    OFlags::RDONLY | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .map_err(system_error("enter the container's namespaces"))
            };
            let mount = open("mnt")?;
            let user = if spec.confine.id_range.is_some() { Some(open("user")?) } else { None };
            // If it ended meanwhile, its process id may be another's by now.
            let again = self.load(&spec.id)?;
            if again.is_running() && again.state.pid == record.state.pid {
                return Ok(Inside::Running { user, mount });
            }
        }
        let paths = self.container(&spec.id);
        let (upper, work) = (paths.upper(), paths.work());
        if writable && !spec.lower.is_empty() {
            let writable = Writable { upper: &upper, work: &work };
            return Ok(Inside::Tree(merged::open(&spec.lower, Some(&writable))?));
        }
        let mut layers = vec![upper];
        layers.extend(spec.lower.iter().cloned());
        Ok(Inside::Tree(merged::open(&layers, None)?))
    }
}

/// A child that works inside, and what it will answer.
pub(crate) struct Worker {
    answer: UnixStream,
}

/// Starts `work` inside. What `keep` lists stays open in the child; everything else that `work` captured is closed.
///
/// The caller must have a single thread.
pub(crate) fn start<R: Serialize>(
    inside: &Inside,
    keep: &[BorrowedFd<'_>],
    work: impl FnOnce() -> Result<R, String>,
) -> Result<Worker, EngineError> {
    let (answer, theirs) = UnixStream::pair().map_err(system_error("make a socket pair"))?;
    let mut kept: Vec<BorrowedFd<'_>> = keep.to_vec();
    kept.push(theirs.as_fd());
    match inside {
        Inside::Running { user, mount } => {
            kept.extend(user.as_ref().map(AsFd::as_fd));
            kept.push(mount.as_fd());
        }
        Inside::Tree(root) => kept.push(root.as_fd()),
    }
    process::fork_detached(&kept, || {
        let result = enter(inside).map_err(|e| e.to_string()).and_then(|()| work());
        if let Ok(bytes) = serde_json::to_vec(&result) {
            let _ = (&theirs).write_all(&bytes);
        }
        0
    })?;
    Ok(Worker { answer })
}

impl Worker {
    /// Waits for the answer.
    pub fn finish<R: DeserializeOwned>(mut self) -> Result<Result<R, String>, EngineError> {
        let mut bytes = Vec::new();
        self.answer.read_to_end(&mut bytes).map_err(system_error("hear from a process inside the container"))?;
        serde_json::from_slice(&bytes)
            .map_err(|_| EngineError::Refused { message: "the process inside the container was killed".to_owned() })
    }
}

fn enter(inside: &Inside) -> std::io::Result<()> {
    match inside {
        Inside::Running { user, mount } => {
            // The mount namespace first: it belongs to the host's user namespace, and the container's root has no
            // rights over it.
            move_into_link_name_space(mount.as_fd(), Some(LinkNameSpaceType::Mount))?;
            if let Some(user) = user {
                move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
                // Root of the container: what we make belongs to it.
                set_thread_groups(&[])?;
                set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
                set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
            }
        }
        Inside::Tree(root) => {
            rustix::process::chroot(format!("/proc/self/fd/{}", root.as_raw_fd()))?;
        }
    }
    rustix::process::chdir("/")?;
    // The modes of what is written are given, not masked.
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// For messages.
pub(crate) fn shown(record: &Record) -> String {
    if record.name.is_empty() { id::short(&record.spec.id).to_owned() } else { record.name.clone() }
}
