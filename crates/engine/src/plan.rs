//! A specification becomes a plan for the sandbox: the only place where levels turn into controls.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use stockade_sandbox::defaults;
use stockade_sandbox::{
    Capabilities, CapabilitySets, CgroupPlan, Device, IdMap, Mount, MountFlags, MountKind, Namespace, Namespaces, Plan,
    Process, Rlimit, Root, SeccompPolicy, User, caps, seccomp,
};

use crate::binds::{self, HostMounts};
use crate::error::EngineError;
use crate::paths::{self, ContainerPaths};
use crate::spec::{ConfineSpec, SeccompChoice, Shared, Spec};
use crate::{Engine, Level, NetMode, ranges, unprivileged};

impl Level {
    /// The sandbox's name of the level.
    pub(crate) fn sandbox(self) -> defaults::Level {
        match self {
            Level::Compat => defaults::Level::Compat,
            Level::Standard => defaults::Level::Standard,
            Level::Strict => defaults::Level::Strict,
        }
    }
}

/// Capabilities in force for a process of user `uid`.
pub(crate) fn capabilities(confine: &ConfineSpec, uid: u32) -> Result<Capabilities, EngineError> {
    let base = match confine.level {
        _ if confine.privileged => caps::ALL,
        Level::Compat => caps::DOCKER_DEFAULT,
        // A user who is not root needs none of them to start, and set-user-id is off.
        Level::Standard if uid == 0 => caps::STANDARD,
        Level::Standard | Level::Strict => Capabilities::NONE,
    };
    let set = base.adjusted(&confine.cap_add, &confine.cap_drop)?;
    // "All" without a user namespace is all that this host has: some machines, containers themselves, lack a few.
    let all = confine.privileged || confine.cap_add.iter().any(|name| name.eq_ignore_ascii_case("all"));
    if all && confine.id_range.is_none() { Ok(Capabilities(set.0 & host_capabilities().0)) } else { Ok(set) }
}

/// What this process may hand on (its bounding set).
fn host_capabilities() -> Capabilities {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("CapBnd:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).map_or(caps::ALL, Capabilities)
}

/// The system call filter in force; `None` is unconfined.
pub(crate) fn seccomp_policy(confine: &ConfineSpec, capabilities: Capabilities) -> Option<SeccompPolicy> {
    match &confine.seccomp {
        _ if confine.privileged => None,
        SeccompChoice::Unconfined => None,
        SeccompChoice::Own(policy) => Some(policy.clone()),
        SeccompChoice::Level => Some(match confine.level {
            Level::Compat => seccomp::compat_with(capabilities),
            Level::Standard => seccomp::standard_with(capabilities),
            Level::Strict => seccomp::strict(),
        }),
    }
}

/// Memory of the host, in bytes.
pub(crate) fn host_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the field types differ between architectures
    let bytes = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
    bytes
}

/// What the plan needs besides the specification.
pub(crate) struct Surroundings<'a> {
    pub engine: &'a Engine,
    pub paths: &'a ContainerPaths,
    pub user: &'a User,
    /// Size of the terminal, columns and rows.
    pub terminal: (u16, u16),
}

/// Builds the plan.
pub(crate) fn plan(spec: &Spec, around: &Surroundings<'_>) -> Result<Plan, EngineError> {
    let confine = &spec.confine;
    let capabilities = capabilities(confine, around.user.uid)?;
    let id_map = confine.id_range.map(ranges::id_map);
    unprivileged::check_user(around.user, id_map.as_ref())?;
    let open = confine.system_paths_open;
    Ok(Plan {
        id: spec.id.clone(),
        root: root(spec, around.paths),
        mounts: mounts(spec, around, id_map.as_ref())?,
        namespaces: namespaces(spec, around.engine)?,
        id_map,
        hostname: (!confine.uts_host).then(|| spec.hostname_in_force().to_owned()),
        domainname: Some(spec.domainname.clone()).filter(|d| !d.is_empty()),
        process: process(spec, around.user, capabilities, spec.tty.then_some(around.terminal)),
        masked_paths: if open { Vec::new() } else { defaults::masked_paths() },
        readonly_paths: if open { Vec::new() } else { defaults::readonly_paths() },
        devices: devices(spec),
        sysctls: sysctls(spec),
        cgroup: CgroupPlan {
            path: paths::cgroup(&spec.id),
            limits: unprivileged::limits(&spec.host.limits, confine.level)?,
        },
        seccomp: seccomp_policy(confine, capabilities),
        landlock: confine.level != Level::Compat && !confine.privileged,
        init: spec.host.init,
        extra: stockade_sandbox::Extra::default(),
    })
}

fn root(spec: &Spec, paths: &ContainerPaths) -> Root {
    let readonly = spec.confine.read_only;
    if spec.lower.is_empty() {
        return Root::Dir { path: paths.upper(), readonly };
    }
    // What goes with the container need not reach the disk: else the kernel writes the whole file system back when the
    // container ends (sync_filesystem in the unmount of an overlay), which takes seconds on a busy host.
    let volatile = spec.host.auto_remove;
    Root::Overlay { lower: spec.lower.clone(), upper: paths.upper(), work: paths.work(), readonly, volatile }
}

/// The process of a specification, for its first start and as the template of `exec`.
pub(crate) fn process(spec: &Spec, user: &User, capabilities: Capabilities, terminal: Option<(u16, u16)>) -> Process {
    let mut env = spec.env.clone();
    add_default(&mut env, "HOSTNAME", spec.hostname_in_force());
    add_default(&mut env, "HOME", if user.home.is_empty() { "/" } else { &user.home });
    let ulimits = spec.host.ulimits.iter();
    let mut rlimits: Vec<Rlimit> =
        ulimits.map(|(name, soft, hard)| Rlimit { name: name.clone(), soft: *soft, hard: *hard }).collect();
    unprivileged::process_limit(&spec.host.limits, spec.confine.level, &mut rlimits);
    Process {
        args: spec.args(),
        env,
        cwd: if spec.cwd.is_empty() { "/".to_owned() } else { spec.cwd.clone() },
        uid: user.uid,
        gid: user.gid,
        groups: user.groups.clone(),
        umask: None,
        capabilities: CapabilitySets::for_user(capabilities, user.uid),
        no_new_privileges: spec.confine.no_new_privileges,
        rlimits,
        oom_score_adj: spec.host.oom_score_adj,
        terminal,
        extra: stockade_sandbox::ProcessExtra::default(),
    }
}

pub(crate) fn add_default(env: &mut Vec<String>, name: &str, value: &str) {
    let set = env.iter().any(|pair| pair.split_once('=').is_some_and(|(n, _)| n == name));
    if !set {
        env.push(format!("{name}={value}"));
    }
}

fn namespaces(spec: &Spec, engine: &Engine) -> Result<Namespaces, EngineError> {
    let confine = &spec.confine;
    let join = |id: &str, kind: &str| -> Result<Namespace, EngineError> {
        let other = engine.load(id)?;
        if !other.is_running() {
            return Err(EngineError::WrongState {
                name: other.name,
                status: other.state.status.name().to_owned(),
                hint: ", so its namespaces cannot be joined; start it first",
            });
        }
        Ok(Namespace::Join(PathBuf::from(format!("/proc/{}/ns/{kind}", other.state.pid))))
    };
    let shared = |shared: &Shared, kind: &str| match shared {
        Shared::Private => Ok(Namespace::New),
        Shared::Host => Ok(Namespace::Host),
        Shared::Container(id) => join(id, kind),
    };
    let own = |host: bool| if host { Namespace::Host } else { Namespace::New };
    Ok(Namespaces {
        user: own(confine.id_range.is_none()),
        pid: shared(&confine.pid, "pid")?,
        net: match &spec.host.network {
            NetMode::None | NetMode::Bridge => Namespace::New,
            NetMode::Host => Namespace::Host,
            NetMode::Container(id) => join(id, "net")?,
        },
        ipc: shared(&confine.ipc, "ipc")?,
        uts: own(confine.uts_host),
        cgroup: own(confine.cgroupns_host || confine.privileged),
        time: own(confine.level == Level::Compat || confine.privileged),
    })
}

fn mounts(spec: &Spec, around: &Surroundings<'_>, id_map: Option<&IdMap>) -> Result<Vec<Mount>, EngineError> {
    // Without root all ids are the same on both sides.
    let translate = id_map.is_some_and(|map| !map.is_identity());
    let mut mounts = defaults::mounts(spec.confine.level.sandbox());
    for mount in &mut mounts {
        if let MountKind::Dev { shm_bytes } = &mut mount.kind {
            *shm_bytes = spec.host.shm_bytes.unwrap_or(defaults::SHM_BYTES);
        }
        if spec.confine.privileged {
            mount.flags.readonly = false;
        }
    }
    if spec.confine.level == Level::Strict {
        for target in ["/tmp", "/run"] {
            if !spec.host.mounts.iter().any(|m| m.target == target) {
                mounts.push(tmpfs(target, STRICT_TMPFS_BYTES));
            }
        }
    }
    // What a container shares with another one's network it shares with its names too.
    let other;
    let files = match &spec.host.network {
        NetMode::Container(id) => {
            other = around.engine.container(id);
            &other
        }
        _ => around.paths,
    };
    for (source, target) in [
        (files.resolv_conf(), "/etc/resolv.conf"),
        (around.paths.hostname(), "/etc/hostname"),
        (files.hosts(), "/etc/hosts"),
    ] {
        if !spec.host.mounts.iter().any(|m| m.target == target) {
            mounts.push(bind(source, target, translate));
        }
    }
    let host = HostMounts::read();
    for mount in &spec.host.mounts {
        mounts.extend(binds::user_mounts(mount, around.engine.root(), translate, &host));
    }
    Ok(mounts)
}

/// Size of /tmp and of /run at `strict`, in bytes.
const STRICT_TMPFS_BYTES: u64 = 64 << 20;

fn tmpfs(target: &str, size_bytes: u64) -> Mount {
    Mount {
        kind: MountKind::Tmpfs { size_bytes: Some(size_bytes), mode: 0o1777 },
        target: target.to_owned(),
        flags: MountFlags { nosuid: true, nodev: true, noexec: true, ..MountFlags::default() },
    }
}

fn bind(source: PathBuf, target: &str, idmapped: bool) -> Mount {
    Mount {
        kind: MountKind::Bind { source, recursive: false, idmapped },
        target: target.to_owned(),
        flags: MountFlags { nosuid: true, nodev: true, noexec: true, ..MountFlags::default() },
    }
}

fn devices(spec: &Spec) -> Vec<Device> {
    let mut devices: Vec<Device> = spec
        .host
        .devices
        .iter()
        .map(|(source, target, access)| Device {
            source: PathBuf::from(source),
            target: target.clone(),
            access: access.clone(),
        })
        .collect();
    if spec.confine.privileged {
        all_devices(Path::new("/dev"), &mut devices);
    }
    devices
}

/// Every device node of the host, for `--privileged`.
fn all_devices(dir: &Path, devices: &mut Vec<Device>) {
    const OWN: &[&str] =
        &["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd"];
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if OWN.iter().any(|name| path == Path::new("/dev").join(name)) {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            all_devices(&path, devices);
        } else if kind.is_char_device() || kind.is_block_device() {
            let target = path.to_string_lossy().into_owned();
            devices.push(Device { source: path, target, access: "rwm".to_owned() });
        }
    }
}

fn sysctls(spec: &Spec) -> Vec<(String, String)> {
    let own_network = matches!(spec.host.network, NetMode::None | NetMode::Bridge);
    let mut sysctls: Vec<(String, String)> = if own_network { defaults::network_sysctls() } else { Vec::new() };
    sysctls.retain(|(name, _)| !spec.host.sysctls.contains_key(name));
    sysctls.extend(spec.host.sysctls.iter().map(|(k, v)| (k.clone(), v.clone())));
    sysctls
}
