//! The helper's side of a step: the parent of the step's process, which outlives a killed caller just long enough to
//! take everything away.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use stockade_network::{DnsOptions, ExtraHost, HostResolver, HostTarget, Mode as NetworkMode};
use stockade_sandbox::cgroup::Cgroup;
use stockade_sandbox::{
    Capabilities, CapabilitySets, CgroupPlan, Created, Limits, Mount, MountFlags, MountKind, Namespace, Namespaces,
    Plan, Process, Root, Running, Stdio, User, caps, defaults, process, resolve_user_in, rootless, seccomp,
};

use super::StepRequest;
use crate::connect::{self, Connection, Place};
use crate::error::{EngineError, io_error, system_error};
use crate::plan::add_default;
use crate::resolve::DEFAULT_PATH;
use crate::spec::{DEFAULT_PIDS, LimitSpec};
use crate::{Engine, Level, NetMode, paths, ranges, signals, unprivileged};

/// Processes of a build step: parallel compilers start more of them than a service does.
const BUILD_PIDS: u64 = DEFAULT_PIDS * 4;

/// How a step ended, from the helper to the caller, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// Exit code when it ran.
    pub code: i32,
    /// Why it did not.
    pub error: Option<String>,
    /// 125, 126 or 127 then.
    pub exit_code: u8,
}

/// The helper's whole life.
pub(super) fn run(
    engine: &Engine,
    request: &StepRequest,
    holder: &str,
    range: u32,
    control: &UnixStream,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> i32 {
    let result = start(engine, request, holder, range, stdout, stderr)
        .and_then(|(running, connection)| supervise(running, control).map(|code| (code, connection)));
    // The connection is kept until here.
    let result = result.map(|(code, _connection)| code);
    clean_up(engine, holder, request);
    ranges::release(engine.root(), range, holder);
    let verdict = match result {
        Ok(code) => Verdict { code, error: None, exit_code: 0 },
        Err(e) => Verdict { code: 0, error: Some(e.chain()), exit_code: e.exit_code() },
    };
    if let Ok(bytes) = serde_json::to_vec(&verdict) {
        let _ = (&mut &*control).write_all(&bytes);
    }
    0
}

/// Takes away what a step has in the kernel and on disk. Every step may have been done before.
pub(super) fn clean_up(engine: &Engine, holder: &str, request: &StepRequest) {
    clean_up_holder(engine, holder, request.network == NetMode::Bridge);
}

/// As [`clean_up`], for a step of which only the name is known.
pub(crate) fn clean_up_holder(engine: &Engine, holder: &str, bridge: bool) {
    let cgroup = Cgroup::open(&paths::cgroup(holder));
    let _ = cgroup.kill();
    let _ = cgroup.remove();
    if bridge {
        let _ = connect::disconnect(engine, holder, &files_dir(engine, holder));
    }
    let _ = fs::remove_dir_all(files_dir(engine, holder));
}

fn files_dir(engine: &Engine, holder: &str) -> PathBuf {
    engine.run_dir().join("steps").join(holder)
}

fn start(
    engine: &Engine,
    request: &StepRequest,
    holder: &str,
    range: u32,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> Result<(Running, Option<Connection>), EngineError> {
    let dir = files_dir(engine, holder);
    stockade_durable::create_private_dir(&dir)?;
    let mode = match request.network {
        NetMode::Host => NetworkMode::Host,
        NetMode::Bridge => NetworkMode::Bridge,
        _ => NetworkMode::None,
    };
    let dns = DnsOptions { servers: engine.dns.clone(), ..DnsOptions::default() };
    let conf = stockade_network::resolv_conf(mode, &dns, &HostResolver::read());
    for (name, text) in [("resolv.conf", conf.text.as_str()), ("hosts", "")] {
        let path = dir.join(name);
        fs::write(&path, text).map_err(io_error("write", &path))?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(io_error("set the mode of", &path))?;
    }
    let mut layers = vec![request.upper.clone()];
    layers.extend(request.lower.iter().cloned());
    let user = resolve_user_in(&layers, &request.user)?;
    let plan = plan(request, holder, range, &user, &dir)?;
    let stdin = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(system_error("open /dev/null"))?;
    let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(system_error("copy a descriptor"));
    let stdio = Stdio { stdin, stdout: copy(stdout)?, stderr: copy(stderr)? };
    let created = crate::runtime::current().create(&plan, Some(stdio))?;
    let connection = connect(engine, request, holder, &created)?;
    Ok((created.start()?, connection))
}

fn connect(
    engine: &Engine,
    request: &StepRequest,
    holder: &str,
    created: &Created,
) -> Result<Option<Connection>, EngineError> {
    let mut ip = None;
    let mut gateway = None;
    let mut connection = None;
    match request.network {
        NetMode::Bridge => {
            let place = Place {
                id: holder,
                netns: created.netns(),
                ports: &[],
                block_metadata: request.level != Level::Compat,
                run: &files_dir(engine, holder),
            };
            let made = Connection::make(engine, &place)?;
            let (address, route) = made.addresses();
            (ip, gateway) = (Some(address), Some(route));
            connection = Some(made);
        }
        NetMode::Host => {}
        _ => stockade_network::loopback_up(created.netns())?,
    }
    let mut extra = Vec::new();
    for (name, address) in &request.extra_hosts {
        let target = match address.as_str() {
            "host-gateway" => HostTarget::Gateway,
            text => HostTarget::Address(
                text.parse().map_err(|_| EngineError::usage(format!("`{text}` of --add-host is no IP address")))?,
            ),
        };
        extra.push(ExtraHost { name: name.clone(), target });
    }
    let path = files_dir(engine, holder).join("hosts");
    let text = stockade_network::hosts_file(hostname(request), ip, gateway, &extra);
    fs::write(&path, text).map_err(io_error("write", &path))?;
    Ok(connection)
}

fn hostname(request: &StepRequest) -> &str {
    if request.hostname.is_empty() { "stockade-build" } else { &request.hostname }
}

fn plan(
    request: &StepRequest,
    holder: &str,
    range: u32,
    user: &User,
    files: &std::path::Path,
) -> Result<Plan, EngineError> {
    let confined = request.level != Level::Compat;
    let capabilities = match request.level {
        Level::Compat => caps::DOCKER_DEFAULT,
        _ if user.uid == 0 => caps::BUILD,
        _ => Capabilities::NONE,
    };
    let own = |host: bool| if host { Namespace::Host } else { Namespace::New };
    // Without root every step has a user namespace below the user's own: in that one it could change mounts.
    let own_users = confined || rootless::active().is_some();
    let id_map = own_users.then(|| ranges::id_map(range));
    unprivileged::check_user(user, id_map.as_ref())?;
    let mut mounts = defaults::mounts(request.level.sandbox());
    mounts.push(bind(files.join("resolv.conf"), "/etc/resolv.conf", confined));
    mounts.push(bind(files.join("hosts"), "/etc/hosts", confined));
    mounts.extend(request.mounts.iter().cloned());
    Ok(Plan {
        id: holder.to_owned(),
        root: if request.lower.is_empty() {
            Root::Dir { path: request.upper.clone(), readonly: false }
        } else {
            Root::Overlay {
                lower: request.lower.clone(),
                upper: request.upper.clone(),
                work: request.work.clone(),
                readonly: false,
                volatile: true,
            }
        },
        mounts,
        namespaces: Namespaces {
            user: own(!own_users),
            pid: Namespace::New,
            net: own(request.network == NetMode::Host),
            ipc: Namespace::New,
            uts: Namespace::New,
            cgroup: Namespace::New,
            // Files get the host's time either way; a step has no use for a clock of its own.
            time: Namespace::Host,
        },
        id_map,
        hostname: Some(hostname(request).to_owned()),
        domainname: None,
        process: step_process(request, user, capabilities),
        masked_paths: defaults::masked_paths(),
        readonly_paths: defaults::readonly_paths(),
        devices: Vec::new(),
        sysctls: if request.network == NetMode::Host { Vec::new() } else { defaults::network_sysctls() },
        cgroup: CgroupPlan { path: paths::cgroup(holder), limits: limits(request)? },
        seccomp: Some(if confined { seccomp::build_step(capabilities) } else { seccomp::compat() }),
        landlock: confined,
        init: false,
        extra: stockade_sandbox::Extra::default(),
    })
}

fn bind(source: PathBuf, target: &str, idmapped: bool) -> Mount {
    Mount {
        kind: MountKind::Bind { source, recursive: false, idmapped },
        target: target.to_owned(),
        flags: MountFlags { nosuid: true, nodev: true, noexec: true, ..MountFlags::default() },
    }
}

fn step_process(request: &StepRequest, user: &User, capabilities: Capabilities) -> Process {
    let mut env = request.env.clone();
    if let Some((name, value)) = DEFAULT_PATH.split_once('=') {
        add_default(&mut env, name, value);
    }
    add_default(&mut env, "HOSTNAME", hostname(request));
    add_default(&mut env, "HOME", if user.home.is_empty() { "/" } else { &user.home });
    let mut rlimits = Vec::new();
    unprivileged::process_limit(&asked_limits(request), level_of_limits(request), &mut rlimits);
    Process {
        args: request.args.clone(),
        env,
        cwd: if request.cwd.is_empty() { "/".to_owned() } else { request.cwd.clone() },
        uid: user.uid,
        gid: user.gid,
        groups: user.groups.clone(),
        umask: None,
        capabilities: CapabilitySets::for_user(capabilities, user.uid),
        no_new_privileges: request.level != Level::Compat,
        rlimits,
        oom_score_adj: None,
        terminal: None,
        extra: stockade_sandbox::ProcessExtra::default(),
    }
}

fn limits(request: &StepRequest) -> Result<Limits, EngineError> {
    unprivileged::limits(&asked_limits(request), level_of_limits(request))
}

/// The step's limits as a container's are asked for: what is not given takes the level's default.
fn asked_limits(request: &StepRequest) -> LimitSpec {
    let asked = &request.limits;
    LimitSpec {
        memory_bytes: asked.memory_bytes,
        memory_swap_bytes: asked.memory_swap_bytes,
        memory_reservation_bytes: asked.memory_reservation_bytes,
        cpu_millis: asked.cpu_millis,
        cpu_shares: asked.cpu_shares,
        pids: asked.pids.or(Some(BUILD_PIDS)),
    }
}

fn level_of_limits(request: &StepRequest) -> Level {
    if request.level == Level::Compat { Level::Compat } else { Level::Standard }
}

/// Waits for the step's end, or for the caller's.
fn supervise(mut running: Running, control: &UnixStream) -> Result<i32, EngineError> {
    let mut watching = true;
    loop {
        if let Some(status) = running.try_wait()? {
            return Ok(status.code);
        }
        let mut fds = vec![PollFd::from_borrowed_fd(running.pidfd(), PollFlags::IN)];
        if watching {
            fds.push(PollFd::new(control, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(system_error("wait for a build step")(e)),
        }
        let caller_gone = watching && fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if caller_gone {
            // It sends nothing: whatever happens there is its end or its cancel.
            watching = false;
            let _ = process::send_signal(running.pidfd().as_fd(), signals::KILL);
        }
    }
}
