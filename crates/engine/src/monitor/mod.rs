//! The monitor: one small process a container, its parent, single-threaded, around one `poll(2)`.
//!
//! It creates the container, connects it, keeps its log, serves its socket, restarts it, and takes everything away at
//! the end. It is forked from the command line process without an exec and holds the lock on the container's
//! `monitor` file for as long as it lives.

mod event_loop;
mod health;
mod launch;
mod peer;
mod requests;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use stockade_durable::Lock;
use stockade_network::{Network, Released};
use stockade_sandbox::cgroup::Cgroup;
use stockade_sandbox::process::{self, Signals};
use stockade_sandbox::rootless;

use crate::error::{EngineError, io_error, system_error};
use crate::log::LogWriter;
use crate::paths::{self, ContainerPaths, SOCKET};
use crate::record::{self, Record, State, Status};
use crate::remove::remove_tree;
use crate::restart::{Backoff, RestartPolicy};
use crate::spec::Spec;
use crate::wire::Kind;
use crate::{Engine, clock, events};

use health::Health;
pub use health::{HealthResult, HealthState};
use launch::Live;
pub(crate) use launch::resolve_user;
use peer::Peer;

/// Signals that would kill a process by default and come from terminals and shutdowns.
const SIGNALS: &[i32] = &[1, 2, 3, 15];
/// How long the monitor waits for clients to take the last output before it goes.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long the network of the last container with `--rm` stays for another one.
const LINGER: Duration = Duration::from_millis(150);

/// What the monitor tells the process that forked it, as JSON through a pipe.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Of the container's first process; 0 when it could not be started.
    pub pid: i32,
    /// What is worth telling the user.
    pub warnings: Vec<String>,
    /// Why it could not be started.
    pub error: Option<String>,
    /// 125, 126 or 127.
    pub exit_code: u8,
}

/// What the monitor inherits.
pub(crate) struct Inheritance<'a> {
    pub engine: Engine,
    pub record: Record,
    /// The lock on the `monitor` file, taken by the parent, so that there is no moment without it. It is held until
    /// the process ends: nothing closes its descriptor.
    pub lock: &'a Lock,
    /// Where the [`Report`] goes.
    pub report: &'a UnixStream,
    /// A client that is attached from before the start.
    pub foreground: Option<&'a UnixStream>,
    /// Size of the terminal, columns and rows.
    pub terminal: (u16, u16),
    /// The runtime of a former life may be left: clean up first.
    pub restart: bool,
}

pub(crate) struct Monitor {
    engine: Engine,
    spec: Spec,
    paths: ContainerPaths,
    state: State,
    log: LogWriter,
    listener: UnixListener,
    signals: Signals,
    peers: Vec<Peer>,
    live: Option<Live>,
    health: Option<Health>,
    backoff: Backoff,
    terminal: (u16, u16),
    /// When SIGKILL follows an unanswered stop signal.
    kill_at: Option<Instant>,
    /// When the next start is due.
    restart_at: Option<Instant>,
    warnings: Vec<String>,
    /// When memory that is not needed in quiet times goes back to the system.
    shrink_at: Option<Instant>,
    /// What the kernel takes its time for when the last connection is given up: done when nobody waits any more.
    released: Option<Released<'static>>,
}

/// The monitor's whole life. The result is its exit code, which nobody reads.
pub(crate) fn run(inheritance: Inheritance<'_>) -> i32 {
    let report = inheritance.report;
    let engine = inheritance.engine.clone();
    let restart = inheritance.restart;
    let failed = |e: &EngineError| {
        let error = Some(e.chain());
        tell(report, &Report { pid: 0, warnings: Vec::new(), error, exit_code: e.exit_code() });
        1
    };
    let mut monitor = match Monitor::new(inheritance) {
        Ok(monitor) => monitor,
        Err(e) => return failed(&e),
    };
    if restart {
        let _ = engine.release_runtime(&monitor.spec.id, None);
    }
    // The foreground client has asked to attach before we were forked: it must be heard before there is output.
    monitor.hear_foreground();
    match monitor.launch() {
        Ok(pid) => {
            let warnings = std::mem::take(&mut monitor.warnings);
            tell(report, &Report { pid, warnings, error: None, exit_code: 0 });
        }
        Err(e) => {
            monitor.could_not_start(&e);
            if monitor.spec.host.auto_remove {
                let _ = monitor.erase().and_then(|grave| remove_tree(&grave));
            }
            return failed(&e);
        }
    }
    monitor.shrink_at = Some(Instant::now() + event_loop::QUIET);
    monitor.serve();
    monitor.farewell();
    0
}

/// The shutdown is the end of the report for the reader, who would wait for the descriptor's end for ever.
fn tell(mut report: &UnixStream, what: &Report) {
    if let Ok(bytes) = serde_json::to_vec(what) {
        let _ = report.write_all(&bytes);
    }
    let _ = report.shutdown(std::net::Shutdown::Both);
}

impl Monitor {
    fn new(inheritance: Inheritance<'_>) -> Result<Monitor, EngineError> {
        let Inheritance { engine, record, lock, foreground, terminal, .. } = inheritance;
        let paths = engine.container(&record.spec.id);
        let mut identity = lock.file();
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let line = format!("{pid} {}\n", process::start_time(pid).unwrap_or(0));
        let _ = identity.set_len(0);
        identity.write_all(line.as_bytes()).map_err(io_error("write", &paths.monitor()))?;
        if rootless::active().is_some() {
            rootless::register(engine.run_dir());
        }
        let listener = listen(&paths)?;
        let log = LogWriter::open(&paths.log(), record.spec.host.log);
        let mut peers = Vec::new();
        if let Some(stream) = foreground {
            let stream = stream.try_clone().map_err(system_error("copy a descriptor"))?;
            peers.push(Peer::new(stream, true)?);
        }
        Ok(Monitor {
            state: State { monitor_pid: pid, ..State::default() },
            engine,
            spec: record.spec,
            paths,
            log,
            listener,
            signals: Signals::block(SIGNALS)?,
            peers,
            live: None,
            health: None,
            backoff: Backoff::new(),
            terminal,
            kill_at: None,
            restart_at: None,
            warnings: Vec::new(),
            shrink_at: None,
            released: None,
        })
    }

    fn hear_foreground(&mut self) {
        for peer in &mut self.peers {
            peer.receive();
        }
        self.peers_after_events();
    }

    /// The name may change while we run.
    fn name(&self) -> String {
        fs::read_to_string(self.paths.name()).unwrap_or_else(|_| crate::id::short(&self.spec.id).to_owned())
    }

    fn emit(&self, action: &str, extra: &[(&str, String)]) {
        events::emit(self.engine.root(), &self.spec, &self.name(), action, extra);
    }

    /// Beginnings need not survive a power cut (they are not true after one); ends must.
    fn write_state(&self) {
        let lasting = self.state.status == Status::Exited && !self.spec.host.auto_remove;
        let _ = record::write_state(&self.paths, &self.state, lasting);
    }

    fn could_not_start(&mut self, error: &EngineError) {
        self.state.status = if self.state.started_at == clock::NEVER { Status::Created } else { Status::Exited };
        self.state.exit_code = i32::from(error.exit_code());
        self.state.error = error.chain();
        self.state.pid = 0;
        self.state.monitor_pid = 0;
        self.state.finished_at = clock::now();
        self.state.endpoint = None;
        self.write_state();
        self.emit("die", &[("exitCode", self.state.exit_code.to_string())]);
        self.leave();
    }

    /// The container ended: record it, and decide whether it starts again. Answers whether the monitor goes on.
    fn ended(&mut self) -> bool {
        let Some(live) = self.live.take() else { return false };
        let status =
            live.exit.unwrap_or(stockade_sandbox::ExitStatus { code: 137, signal: Some(9), oom_killed: false });
        let ran = live.started.elapsed();
        let code = status.code;
        self.log.finish();
        self.kill_at = None;
        if let Some(health) = self.health.take() {
            health.abort();
        }
        drop(live);
        let again = !self.state.stopped_by_hand && self.policy().wants_restart(code, self.state.restart_count);
        if again {
            let _ = self.engine.release_runtime(&self.spec.id, None);
        } else {
            self.release();
        }
        self.state.exit_code = code;
        self.state.oom_killed = status.oom_killed;
        self.state.finished_at = clock::now();
        self.state.pid = 0;
        self.state.endpoint = None;
        if status.oom_killed {
            self.emit("oom", &[]);
        }
        self.state.status = if again { Status::Restarting } else { Status::Exited };
        if !again {
            self.state.monitor_pid = 0;
        }
        self.write_state();
        let duration = ran.as_secs().to_string();
        self.emit("die", &[("exitCode", code.to_string()), ("execDuration", duration)]);
        if again {
            self.restart_at = Some(Instant::now() + self.backoff.after(ran));
            self.dismiss(code);
        }
        again
    }

    /// Gives back what the container had of the kernel: its addresses and ports are free at once, and what takes time
    /// is left for the very end.
    fn release(&mut self) {
        let _ = Engine::release_cgroup(&self.spec.id);
        if self.spec.host.network == crate::NetMode::Bridge
            && rootless::active().is_none()
            && let Ok(network) = self.engine.network()
        {
            // Lives as long as this process, which is about to end.
            let network: &'static Network = Box::leak(Box::new(network));
            self.released = network.release(&self.spec.id).ok();
        }
    }

    /// Tells those who wait for the end, and lets them go once they have heard it.
    fn dismiss(&mut self, code: i32) {
        for peer in &mut self.peers {
            if peer.waits() {
                peer.push(Kind::Exit, &code.to_le_bytes());
                peer.leaving = true;
            }
        }
    }

    /// `update` may change the policy in the record.
    fn policy(&self) -> RestartPolicy {
        self.spec.host.restart
    }

    /// The last things. Who waits hears the exit code when nothing is left that could be in somebody's way; what the
    /// kernel does slowly comes after that.
    fn farewell(&mut self) {
        let mut grave = None;
        if self.spec.host.auto_remove && !self.paths.restarting().exists() {
            grave = self.erase().ok();
        } else {
            self.leave();
        }
        self.dismiss(self.state.exit_code);
        let until = Instant::now() + FAREWELL;
        self.peers.retain(|p| p.leaving && p.has_output());
        while !self.peers.is_empty() && Instant::now() < until {
            self.flush_peers(until);
        }
        self.peers.clear();
        if let Some(released) = self.released.take() {
            // Who runs one such container after the other does not wait for a network each time.
            let moment = if self.spec.host.auto_remove { LINGER } else { Duration::ZERO };
            let _ = released.finish_after(moment);
        }
        if let Some(grave) = grave {
            let _ = remove_tree(&grave);
        }
    }

    fn erase(&mut self) -> Result<PathBuf, EngineError> {
        let record = Record { spec: self.spec.clone(), name: self.name(), state: self.state.clone(), stale: false };
        let grave = self.engine.bury_files(&self.spec.id, Some(&record), true)?;
        let _ = fs::remove_dir_all(&self.paths.run);
        Ok(grave)
    }

    /// Takes away the socket: a client that comes later must not wait for an answer.
    fn leave(&self) {
        let _ = fs::remove_file(self.paths.run.join(SOCKET));
    }

    fn cgroup(&self) -> Cgroup {
        Cgroup::open(&paths::cgroup(&self.spec.id))
    }
}

/// Binds the socket. The path goes through a descriptor, because `sun_path` holds 108 bytes and a run directory may be
/// longer than that.
fn listen(paths: &ContainerPaths) -> Result<UnixListener, EngineError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(&paths.run, flags, Mode::empty()).map_err(io_error("open", &paths.run))?;
    let _ = fs::remove_file(paths.run.join(SOCKET));
    let listener = UnixListener::bind(socket_path(&dir)).map_err(io_error("make a socket in", &paths.run))?;
    listener.set_nonblocking(true).map_err(system_error("make a socket non-blocking"))?;
    Ok(listener)
}

/// The socket's path through an open directory.
pub(crate) fn socket_path(dir: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}/{SOCKET}", dir.as_fd().as_raw_fd())
}

/// Waits until the monitor of a container is gone. Answers whether it is.
pub(crate) fn wait_dead(paths: &ContainerPaths, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        if !record::monitor_alive(paths) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills a monitor that does not answer, if the process that wrote the file is still the one of that id.
pub(crate) fn kill(paths: &ContainerPaths) {
    let mut text = String::new();
    let read = File::open(paths.monitor()).and_then(|f| f.take(64).read_to_string(&mut text));
    let mut fields = text.split_whitespace();
    let (Ok(_), Some(pid), Some(start)) = (read, fields.next(), fields.next()) else { return };
    let (Ok(pid), Ok(start)) = (pid.parse::<i32>(), start.parse::<u64>()) else { return };
    // The pidfd first: after it, the process that we look at is the process that we kill.
    if let Ok(pidfd) = process::open_pid(pid)
        && process::start_time(pid) == Some(start)
    {
        let _ = process::send_signal(pidfd.as_fd(), crate::signals::KILL);
    }
}
