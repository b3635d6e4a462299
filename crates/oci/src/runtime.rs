//! The operations on containers that exist.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use stockade_sandbox::gate;
use stockade_sandbox::process::{open_pid, send_signal};

use crate::listener::Listener;
use crate::spec::{Resources, Spec};
use crate::state::{Container, GATE, Status};
use crate::{OciError, Result, translate};

const SIGKILL: i32 = 9;

/// All containers below one directory (`--root`).
#[derive(Debug, Clone)]
pub struct Runtime {
    root: PathBuf,
}

/// A process of a container, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its user, on the host.
    pub uid: u32,
    /// Its command line, or its name in brackets.
    pub command: String,
}

impl Runtime {
    /// `root`: where containers keep their state. It is made when the first one is created.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// One container.
    pub fn load(&self, id: &str) -> Result<Container> {
        Container::load(&self.root, id)
    }

    /// All containers, by id.
    pub fn list(&self) -> Result<Vec<Container>> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(OciError::io("list", &self.root)(e)),
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Some(id) = entry.file_name().to_str().map(str::to_owned) else { continue };
            match self.load(&id) {
                Ok(container) => found.push(container),
                // Being made or removed at this moment, or not a container at all.
                Err(OciError::NotFound { .. } | OciError::BadId { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        found.sort_by(|a, b| a.id().cmp(b.id()));
        Ok(found)
    }

    /// Runs the program of a created container (`runtime.md`, "Start").
    pub fn start(&self, id: &str) -> Result<()> {
        let container = self.load(id)?;
        expect(&container, "start", &[Status::Created], "")?;
        let spec = container.spec()?;
        let pid = container.pid();
        let pidfd = open_pid(pid)?;
        let listener = Listener::of(&spec, id, &container.stored.bundle, "running", pid, pid);
        let mut hand_over = |fd| match &listener {
            Some(listener) => listener.hand_over(fd),
            None => Err(std::io::Error::other("no listenerPath")),
        };
        let program = spec.process.as_ref().and_then(|p| p.args.as_ref()?.first().cloned()).unwrap_or_default();
        let dir = container.open_dir()?;
        let opened = gate::open(dir.as_fd(), GATE, &program, pidfd.as_fd(), Some(&mut hand_over));
        // Passed or broken, nobody waits there any more.
        let gate = container.dir.join(GATE);
        std::fs::remove_file(&gate).map_err(OciError::io("remove", gate))?;
        if let Err(e) = opened {
            // The process ends by itself; whoever asks next shall see it stopped.
            await_end(&pidfd);
            return Err(e.into());
        }
        self.after_start(&container, &spec)
    }

    /// poststart hooks: one that fails stops the container.
    pub(crate) fn after_start(&self, container: &Container, spec: &Spec) -> Result<()> {
        run_hooks("poststart", spec, container, "running").inspect_err(|_| {
            let _ = self.end(container, SIGKILL);
        })
    }

    /// Sends a signal to the first process, or to all (`runtime.md`, "Kill").
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let container = self.load(id)?;
        let status = container.status();
        if all {
            let group = container.cgroup();
            // Nobody left is nobody to signal: callers clean up with this.
            return if group.exists() { Ok(group.signal_all(signal)?) } else { Ok(()) };
        }
        if matches!(status, Status::Stopped | Status::Creating) {
            return Err(not_running(&container, status));
        }
        self.end(&container, signal)
    }

    /// A signal; SIGKILL reaches all processes of the container, even where they do not die with the first.
    fn end(&self, container: &Container, signal: i32) -> Result<()> {
        if signal == SIGKILL && !has_own_pids(&container.spec()?) {
            container.cgroup().signal_all(signal)?;
        }
        let pidfd = match open_pid(container.pid()) {
            Ok(pidfd) => pidfd,
            Err(_) => return Err(not_running(container, Status::Stopped)),
        };
        if !container.is_alive() || !send_signal(pidfd.as_fd(), signal)? {
            return Err(not_running(container, Status::Stopped));
        }
        Ok(())
    }

    /// Removes what `create` made (`runtime.md`, "Delete"). `force`: ends the container before, and it may be gone already.
    /// Returns warnings for the log.
    pub fn delete(&self, id: &str, force: bool) -> Result<Vec<String>> {
        let container = match self.load(id) {
            Ok(container) => container,
            Err(OciError::NotFound { .. }) if force => {
                return remove_half_made(&self.root.join(id), id).map(|()| Vec::new());
            }
            Err(e) => return Err(e),
        };
        if !force {
            expect(&container, "delete", &[Status::Stopped], "; kill it first, or use --force")?;
        } else if container.is_alive() {
            let pidfd = open_pid(container.pid())?;
            // It may end on its own meanwhile.
            let _ = self.end(&container, SIGKILL);
            await_end(&pidfd);
        }
        let spec = container.spec();
        remove(&container, spec.as_ref())
    }

    /// Stops all processes where they are.
    pub fn pause(&self, id: &str) -> Result<()> {
        let container = self.load(id)?;
        expect(&container, "pause", &[Status::Running, Status::Created], "")?;
        Ok(container.cgroup().freeze()?)
    }

    /// Lets them go on.
    pub fn resume(&self, id: &str) -> Result<()> {
        let container = self.load(id)?;
        expect(&container, "resume", &[Status::Paused], "")?;
        Ok(container.cgroup().thaw()?)
    }

    /// Changes limits.
    pub fn update(&self, id: &str, resources: &Resources) -> Result<()> {
        let container = self.load(id)?;
        expect(&container, "update", &[Status::Created, Status::Running, Status::Paused], "")?;
        if resources.devices.as_ref().is_some_and(|d| !d.is_empty()) {
            let why = "access to devices is fixed when the container is created";
            return Err(OciError::unsupported("linux.resources.devices in an update", why));
        }
        Ok(container.cgroup().apply(&translate::settings(resources)?)?)
    }

    /// The processes of a container.
    pub fn processes(&self, id: &str) -> Result<Vec<Process>> {
        let pids = self.load(id)?.cgroup().pids()?;
        Ok(pids.into_iter().filter_map(look_at).collect())
    }
}

/// Removes what is kept of a container whose first process has ended.
pub(crate) fn remove(container: &Container, spec: std::result::Result<&Spec, &OciError>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let group = container.cgroup();
    if group.exists() {
        if spec.is_ok_and(|spec| !has_own_pids(spec)) {
            group.kill()?;
        }
        if let Err(e) = group.remove() {
            warnings.push(format!("the control group stays: {}", OciError::from(e).chain()));
        }
    }
    match spec {
        Ok(spec) => {
            if let Err(e) = run_hooks("poststop", spec, container, "stopped") {
                warnings.push(e.chain());
            }
        }
        Err(e) => warnings.push(e.chain()),
    }
    std::fs::remove_dir_all(&container.dir).map_err(OciError::io("remove", &container.dir))?;
    Ok(warnings)
}

/// What `create` leaves when it is killed before there is a state: a directory, perhaps with the configuration, which
/// names the control group.
fn remove_half_made(dir: &Path, id: &str) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    if let Ok(spec) = crate::state::read_spec(&dir.join("config.json")) {
        let none = crate::spec::Linux::default();
        let path = translate::cgroup_path(spec.linux.as_ref().unwrap_or(&none), id);
        let group = stockade_sandbox::cgroup::Cgroup::open(&path);
        if spec.linux.as_ref().is_none_or(|l| l.cgroups_path.is_none()) && group.exists() {
            group.kill()?;
            group.remove()?;
        }
    }
    std::fs::remove_dir_all(dir).map_err(OciError::io("remove", dir))
}

fn look_at(pid: i32) -> Option<Process> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next());
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
    let command = if line.is_empty() { format!("[{}]", field("Name:").unwrap_or_default()) } else { line };
    Some(Process { pid, parent: field("PPid:")?.parse().ok()?, uid: field("Uid:")?.parse().ok()?, command })
}

/// Hooks that run after the container was made, in the caller's namespaces.
pub(crate) fn run_hooks(kind: &'static str, spec: &Spec, container: &Container, status: &str) -> Result<()> {
    let Some(hooks) = &spec.hooks else { return Ok(()) };
    let list = if kind == "poststart" { &hooks.poststart } else { &hooks.poststop };
    let list = translate::hook_list(kind, list.as_deref())?;
    let state = translate::state_text(spec, container.id(), &container.stored.bundle);
    // `pid` is there while there is a process (runtime.md, "State").
    let pid = if status == "stopped" { String::new() } else { format!(",\"pid\":{}", container.pid()) };
    Ok(stockade_sandbox::run_hooks(kind, &list, &format!("{state},\"status\":\"{status}\"{pid}}}"))?)
}

fn has_own_pids(spec: &Spec) -> bool {
    let namespaces = spec.linux.as_ref().map(|l| l.namespaces.as_slice()).unwrap_or_default();
    namespaces.iter().any(|n| n.kind == "pid" && n.path.as_deref().is_none_or(str::is_empty))
}

fn not_running(container: &Container, status: Status) -> OciError {
    OciError::NotRunning { id: container.id().to_owned(), status: status.name() }
}

pub(crate) fn expect(container: &Container, what: &'static str, allowed: &[Status], hint: &'static str) -> Result<()> {
    let status = container.status();
    if allowed.contains(&status) {
        return Ok(());
    }
    Err(OciError::WrongStatus { what, id: container.id().to_owned(), status: status.name(), hint })
}

/// Waits for the end of a process that may not be our child, for at most ten seconds.
fn await_end(pidfd: &std::os::fd::OwnedFd) {
    let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    let mut fds = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    // A process that does not end in time is noticed when its group cannot be removed.
    let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&patience)));
}
