//! Making a container, and starting it at once or later.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use stockade_sandbox::{Created, Running, Stdio, gate, process::start_time};

use crate::listener::Listener;
use crate::runtime::{Runtime, run_hooks};
use crate::spec::{IdMapping, Spec};
use crate::state::{Container, GATE, Stored, read_spec_and_bytes};
use crate::translate::{self, Surroundings, Translated};
use crate::{OciError, Outer, Result, console};

/// How a container is to be made.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Gets the first process's id.
    pub pid_file: Option<PathBuf>,
    /// Gets the terminal.
    pub console_socket: Option<PathBuf>,
    /// How many descriptors after the standard streams are handed on.
    pub keep_descriptors: u32,
    /// Keep the session keyring.
    pub keep_keyring: bool,
    /// Size of a terminal that the configuration gives none: columns, rows.
    pub terminal: (u16, u16),
    /// Without root, in a user namespace of our own making: what its ids are outside.
    pub outer: Option<Outer>,
}

/// A container that was made and started by one caller, whose child the first process is.
#[derive(Debug)]
pub struct Started {
    /// The first process.
    pub running: Running,
    /// The master side of its terminal, unless it went over the console socket.
    pub terminal: Option<OwnedFd>,
    /// For the log.
    pub warnings: Vec<String>,
    container: Container,
    spec: Spec,
}

/// What is needed to remove a container that has ended.
#[derive(Debug)]
pub struct Ended {
    container: Container,
    spec: Spec,
}

impl Started {
    /// The first process and its terminal, and what is left to remove after its end.
    pub fn split(self) -> (Running, Option<OwnedFd>, Ended) {
        (self.running, self.terminal, Ended { container: self.container, spec: self.spec })
    }
}

/// A claimed id, a read bundle.
struct Prepared {
    container: Container,
    spec: Spec,
    translated: Translated,
    /// Removes the claim unless the container came to be.
    claim: Claim,
}

struct Claim {
    dir: PathBuf,
    keep: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.keep {
            // What is left here is seen by the next `create` of this id, whose message names the directory.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

impl Runtime {
    /// Makes a container whose process waits to be started (`runtime.md`, "Create"). Returns warnings for the log.
    pub fn create(&self, id: &str, options: &CreateOptions) -> Result<Vec<String>> {
        let mut prepared = self.prepare(id, options, false)?;
        let dir = prepared.container.open_dir()?;
        prepared.translated.plan.extra.gate = Some(gate::make(dir.as_fd(), GATE)?);
        let created = self.launch(&mut prepared, options)?;
        created.leave();
        prepared.claim.keep = true;
        Ok(prepared.translated.warnings)
    }

    /// Makes a container and starts it (`run`).
    pub fn run(&self, id: &str, options: &CreateOptions, foreground: bool) -> Result<Started> {
        let mut prepared = self.prepare(id, options, foreground)?;
        let mut created = self.launch(&mut prepared, options)?;
        let terminal = if foreground { created.take_terminal() } else { None };
        let pid = created.pid();
        let bundle = prepared.container.stored.bundle.clone();
        let listener = Listener::of(&prepared.spec, id, &bundle, "running", pid, pid);
        let mut hand_over = |fd| match &listener {
            Some(listener) => listener.hand_over(fd),
            None => Err(std::io::Error::other("no listenerPath")),
        };
        let running = created.start_with(Some(&mut hand_over))?;
        prepared.claim.keep = true;
        if let Err(e) = self.after_start(&prepared.container, &prepared.spec) {
            let _ = self.delete(id, true);
            return Err(e);
        }
        let Prepared { container, spec, translated, .. } = prepared;
        Ok(Started { running, terminal, warnings: translated.warnings, container, spec })
    }

    /// Removes a container that [`Runtime::run`] started and whose first process has been waited for. Returns warnings for
    /// the log.
    pub fn remove_ended(&self, started: &Ended) -> Result<Vec<String>> {
        crate::runtime::remove(&started.container, Ok(&started.spec))
    }

    fn prepare(&self, id: &str, options: &CreateOptions, foreground: bool) -> Result<Prepared> {
        let bundle =
            std::fs::canonicalize(&options.bundle).map_err(OciError::io("find the bundle", &options.bundle))?;
        crate::state::check_id(id)?;
        let config = bundle.join("config.json");
        let (mut spec, text) = read_spec_and_bytes(&config)?;
        if let Some(outer) = &options.outer {
            crate::outer::translate(&mut spec, outer)?;
        }
        let around = Surroundings {
            id,
            bundle: &bundle,
            terminal: options.terminal,
            keep_descriptors: options.keep_descriptors,
            keep_keyring: options.keep_keyring,
        };
        let translated = translate::plan(&spec, &around)?;
        let terminal = translated.plan.process.terminal.is_some();
        if terminal && options.console_socket.is_none() && !foreground {
            let why = "is true: give --console-socket, to which the terminal is sent";
            return Err(OciError::config("process.terminal", why));
        }
        if !terminal && options.console_socket.is_some() {
            return Err(OciError::unsupported("--console-socket", "process.terminal is not true in config.json"));
        }
        let dir = Container::claim(self.root(), id)?;
        let claim = Claim { dir: dir.clone(), keep: false };
        let copy = dir.join("config.json");
        std::fs::write(&copy, text).map_err(OciError::io("write", &copy))?;
        let map = translated.plan.id_map.as_ref();
        let rootfs = spec.root.as_ref().map_or_else(PathBuf::new, |root| bundle.join(&root.path));
        let stored = Stored {
            id: id.to_owned(),
            bundle,
            pid: 0,
            pid_start: 0,
            created: jiff::Timestamp::now().to_string(),
            cgroup: translated.plan.cgroup.path.clone(),
            rootfs,
            uid_map: map.map(|m| mappings(&m.uid)),
            gid_map: map.map(|m| mappings(&m.gid)),
            annotations: spec.annotations.clone(),
        };
        Ok(Prepared { container: Container { dir, stored }, spec, translated, claim })
    }

    /// The process, waiting; its terminal has gone to the console socket, its state is stored.
    fn launch(&self, prepared: &mut Prepared, options: &CreateOptions) -> Result<Created> {
        let Prepared { container, spec, translated, .. } = prepared;
        // Hooks may ask for the state while the container is being made; what a crash leaves is found by the configuration.
        if spec.hooks.is_some() {
            container.save()?;
        }
        let stdio = if translated.plan.process.terminal.is_some() { None } else { Some(standard_streams()?) };
        let launched = stockade_sandbox::create(&translated.plan, stdio)
            .map_err(OciError::from)
            .and_then(|created| finish(container, options, created));
        launched.inspect_err(|_| {
            // The lifecycle goes on at its end: what earlier hooks did must be undone.
            let _ = run_hooks("poststop", spec, container, "stopped");
        })
    }
}

fn finish(container: &mut Container, options: &CreateOptions, mut created: Created) -> Result<Created> {
    if let Some(socket) = &options.console_socket
        && let Some(master) = created.take_terminal()
    {
        console::send(socket, master.as_fd())?;
    }
    container.stored.pid = created.pid();
    container.stored.pid_start = start_time(created.pid()).unwrap_or(0);
    container.save()?;
    if let Some(path) = &options.pid_file {
        write_pid(path, created.pid())?;
    }
    Ok(created)
}

pub(crate) fn write_pid(path: &Path, pid: i32) -> Result<()> {
    // Whoever waits for the file must not find it empty.
    Ok(stockade_durable::write_volatile(path, pid.to_string().as_bytes(), 0o644)?)
}

/// Copies of our own streams for the container.
pub(crate) fn standard_streams() -> Result<Stdio> {
    let copy = |fd: std::os::fd::BorrowedFd<'_>| {
        rustix::io::fcntl_dupfd_cloexec(fd, 3)
            .map_err(|e| OciError::io("duplicate the standard stream", format!("/dev/fd/{fd:?}"))(e.into()))
    };
    Ok(Stdio {
        stdin: copy(rustix::stdio::stdin())?,
        stdout: copy(rustix::stdio::stdout())?,
        stderr: copy(rustix::stdio::stderr())?,
    })
}

fn mappings(ranges: &[stockade_sandbox::IdRange]) -> Vec<IdMapping> {
    ranges.iter().map(|r| IdMapping { container_id: r.inside, host_id: r.outside, size: r.count }).collect()
}
