//! Starting the container: sandbox, network, files, program; and undoing what was done when one of them fails.

use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use stockade_image::{Store, Verify};
use stockade_network::{DnsOptions, ExtraHost, HostResolver, Mode as NetworkMode, PortMapping};
use stockade_sandbox::{Created, ExitStatus, Running, Stdio, User, resolve_user_in};

use super::Monitor;
use super::health::Health;
use super::peer::nonblocking;
use crate::connect::{Connection, Place};
use crate::error::{EngineError, io_error, system_error};
use crate::plan::{Surroundings, plan};
use crate::record::Status;
use crate::spec::Spec;
use crate::{Level, NetMode, clock};

/// A container that runs.
pub(super) struct Live {
    pub running: Running,
    /// Our ends of its streams.
    pub streams: OurEnds,
    /// Input not yet taken by it.
    pub input: Vec<u8>,
    /// Close its input when that is written.
    pub input_ends: bool,
    pub started: Instant,
    pub exit: Option<ExitStatus>,
    /// Holds the published ports.
    _connection: Option<Connection>,
}

/// Our ends of the container's streams.
#[derive(Default)]
pub(super) struct OurEnds {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    pub terminal: Option<OwnedFd>,
    /// The terminal's other side is closed: reading it again would only spin.
    pub terminal_silent: bool,
}

impl Monitor {
    /// Starts the container and returns its first process's id.
    pub(super) fn launch(&mut self) -> Result<i32, EngineError> {
        self.verify_layers()?;
        let user = resolve_user(&self.spec, &self.paths.upper())?;
        let around = Surroundings { engine: &self.engine, paths: &self.paths, user: &user, terminal: self.terminal };
        let plan = plan(&self.spec, &around)?;
        self.warnings.extend(crate::unprivileged::single_id_note());
        self.write_names()?;
        if self.spec.host.auto_remove {
            // A volatile overlay leaves this mark and is not mounted again with it: after a crash of the machine files may
            // be missing. None happened, else no monitor would be left to start this container again.
            let _ = fs::remove_dir_all(self.paths.work().join("work/incompat"));
        }
        let (stdio, mut ours) = streams(self.spec.tty, self.spec.interactive)?;
        let result =
            crate::runtime::current().create(&plan, stdio).map_err(EngineError::from).and_then(|mut created| {
                let connection = self.connect(&created)?;
                ours.terminal = created.take_terminal();
                let running = created.start()?;
                Ok((running, connection))
            });
        let (running, connection) = match result {
            Ok(pair) => pair,
            Err(e) => {
                let _ = self.engine.release_runtime(&self.spec.id, None);
                return Err(e);
            }
        };
        if let Some(terminal) = &ours.terminal {
            nonblocking(terminal).map_err(system_error("make the terminal non-blocking"))?;
        }
        let pid = running.pid();
        self.state.status = Status::Running;
        self.state.pid = pid;
        self.state.pid_start = stockade_sandbox::process::start_time(pid).unwrap_or(0);
        self.state.started_at = clock::now();
        self.state.error.clear();
        self.state.oom_killed = false;
        self.state.endpoint = connection.as_ref().map(Connection::state);
        self.write_state();
        self.health = self.spec.health.as_ref().map(|h| Health::new(h, &self.paths));
        let input_ends = false;
        self.live = Some(Live {
            running,
            streams: ours,
            input: Vec::new(),
            input_ends,
            started: Instant::now(),
            exit: None,
            _connection: connection,
        });
        self.emit("start", &[]);
        Ok(pid)
    }

    /// Connects the new network namespace and writes what depends on its address.
    fn connect(&mut self, created: &Created) -> Result<Option<Connection>, EngineError> {
        let spec = &self.spec;
        match spec.host.network {
            NetMode::None => stockade_network::loopback_up(created.netns())?,
            NetMode::Bridge => {
                let ports = ports(spec);
                let place = Place {
                    id: &spec.id,
                    netns: created.netns(),
                    ports: &ports,
                    block_metadata: spec.confine.level != Level::Compat,
                    run: &self.paths.run,
                };
                let connection = Connection::make(&self.engine, &place)?;
                self.warnings.extend(connection.warnings().iter().cloned());
                let (ip, gateway) = connection.addresses();
                self.write_hosts(Some(ip), Some(gateway))?;
                return Ok(Some(connection));
            }
            NetMode::Host | NetMode::Container(_) => {}
        }
        self.write_hosts(None, None)?;
        Ok(None)
    }

    /// /etc/resolv.conf and /etc/hostname. The files are bind-mounted, so they are rewritten in place.
    fn write_names(&mut self) -> Result<(), EngineError> {
        let spec = &self.spec;
        let path = self.paths.hostname();
        fs::write(&path, stockade_network::hostname_file(spec.hostname_in_force()))
            .map_err(io_error("write", &path))?;
        let mode = match spec.host.network {
            NetMode::None => NetworkMode::None,
            NetMode::Bridge => NetworkMode::Bridge,
            NetMode::Host => NetworkMode::Host,
            NetMode::Container(_) => return Ok(()),
        };
        let mut servers = Vec::new();
        for server in &spec.host.dns {
            let address =
                server.parse().map_err(|_| EngineError::usage(format!("`{server}` of --dns is no IP address")))?;
            servers.push(address);
        }
        if servers.is_empty() && mode == NetworkMode::Bridge {
            servers.clone_from(&self.engine.dns);
        }
        let dns = DnsOptions { servers, search: spec.host.dns_search.clone(), options: spec.host.dns_options.clone() };
        let conf = stockade_network::resolv_conf(mode, &dns, &HostResolver::read());
        self.warnings.extend(conf.note.filter(|_| mode == NetworkMode::Bridge));
        let path = self.paths.resolv_conf();
        fs::write(&path, conf.text).map_err(io_error("write", &path))
    }

    /// Before anything of the image is read.
    fn verify_layers(&self) -> Result<(), EngineError> {
        let how = self.spec.confine.verify;
        if how == Verify::Off {
            return Ok(());
        }
        let store = Store::open(self.engine.root())?;
        Ok(store.verify_layers(&self.spec.lower, how)?)
    }

    fn write_hosts(&self, ip: Option<IpAddr>, gateway: Option<IpAddr>) -> Result<(), EngineError> {
        if matches!(self.spec.host.network, NetMode::Container(_)) {
            return Ok(());
        }
        let mut extra: Vec<ExtraHost> = Vec::new();
        for entry in &self.spec.host.extra_hosts {
            extra.push(entry.parse()?);
        }
        let text = stockade_network::hosts_file(self.spec.hostname_in_force(), ip, gateway, &extra);
        let path = self.paths.hosts();
        fs::write(&path, text).map_err(io_error("write", &path))
    }
}

/// The user, with `--group-add`, against the account files of the image and of what the container changed in them.
pub(crate) fn resolve_user(spec: &Spec, upper: &std::path::Path) -> Result<User, EngineError> {
    let mut layers = vec![upper.to_owned()];
    layers.extend(spec.lower.iter().cloned());
    let mut user = resolve_user_in(&layers, &spec.user)?;
    for group in &spec.host.group_add {
        let gid = match group.parse() {
            Ok(number) => number,
            Err(_) => resolve_user_in(&layers, &format!("0:{group}"))?.gid,
        };
        if !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    Ok(user)
}

/// What was published by `-p`, and with `-P` every exposed port that was not, on any free port.
fn ports(spec: &Spec) -> Vec<PortMapping> {
    let mut ports = spec.host.publish.clone();
    if spec.host.publish_all {
        for exposed in &spec.exposed {
            let Ok(mapping) = exposed.parse::<PortMapping>() else { continue };
            let same = |p: &PortMapping| p.container_port == mapping.container_port && p.protocol == mapping.protocol;
            if !ports.iter().any(same) {
                ports.push(mapping);
            }
        }
    }
    ports
}

/// The container's ends and ours. With a terminal the sandbox makes both.
fn streams(tty: bool, interactive: bool) -> Result<(Option<Stdio>, OurEnds), EngineError> {
    if tty {
        return Ok((None, OurEnds::default()));
    }
    let failed = || system_error("make a pipe");
    let (stdout, theirs_out) = pipe_with(PipeFlags::CLOEXEC).map_err(failed())?;
    let (stderr, theirs_err) = pipe_with(PipeFlags::CLOEXEC).map_err(failed())?;
    let mut ours = OurEnds::default();
    let stdin = if interactive {
        let (theirs, write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed())?;
        nonblocking(&write).map_err(failed())?;
        ours.stdin = Some(write);
        theirs
    } else {
        rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(system_error("open /dev/null"))?
    };
    for fd in [stdout.as_fd(), stderr.as_fd()] {
        nonblocking(fd).map_err(failed())?;
    }
    ours.stdout = Some(stdout);
    ours.stderr = Some(stderr);
    Ok((Some(Stdio { stdin, stdout: theirs_out, stderr: theirs_err }), ours))
}
