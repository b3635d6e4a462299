//! What a caller asks for: plain data, resolved, with nothing left to guess.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::{Extra, ProcessExtra};

/// One container or build step, complete.
#[derive(Debug)]
pub struct Plan {
    /// Container id; used in messages.
    pub id: String,
    /// Where the root file system comes from.
    pub root: Root,
    /// Mounts in order, after the root; targets are resolved inside the root (`RESOLVE_IN_ROOT`).
    /// /proc, /dev, /dev/pts, /dev/shm, /dev/mqueue, /sys and /sys/fs/cgroup are entries of this list too:
    /// see [`crate::defaults::mounts`].
    pub mounts: Vec<Mount>,
    /// Which namespaces are new, joined or the host's. The mount namespace is always new.
    pub namespaces: Namespaces,
    /// Mapping of ids when `namespaces.user` is new. Layers and the upper directory hold container ids on disk and
    /// are mounted idmapped with this mapping.
    pub id_map: Option<IdMap>,
    /// Host name inside a new UTS namespace.
    pub hostname: Option<String>,
    /// NIS domain name inside a new UTS namespace.
    pub domainname: Option<String>,
    /// The first process.
    pub process: Process,
    /// Paths hidden by an empty read-only file or tmpfs. A path that does not exist is skipped.
    pub masked_paths: Vec<String>,
    /// Paths remounted read-only. A path that does not exist is skipped.
    pub readonly_paths: Vec<String>,
    /// Device nodes beyond the minimal set (null zero full random urandom tty), by host path.
    pub devices: Vec<Device>,
    /// Kernel settings written under /proc/sys after the namespaces exist: (`net.ipv4.ip_unprivileged_port_start`, `0`).
    pub sysctls: Vec<(String, String)>,
    /// Where the processes are counted and limited.
    pub cgroup: CgroupPlan,
    /// System call filter; `None` is unconfined.
    pub seccomp: Option<SeccompPolicy>,
    /// Enter a Landlock domain where the kernel has it (see the `landlock` module for what it forbids).
    pub landlock: bool,
    /// An in-container init (pid 1 that reaps and forwards signals) runs `process` as its child.
    pub init: bool,
    /// What only bundles of the OCI runtime specification ask for.
    pub extra: Extra,
}

/// Source of the root file system.
#[derive(Debug, Clone)]
pub enum Root {
    /// An existing directory, bind-mounted.
    Dir {
        /// The directory on the host.
        path: PathBuf,
        /// Remount it read-only once set up.
        readonly: bool,
    },
    /// The root of an OCI bundle: an existing directory with all mounts below it, ids as they are on disk, and no
    /// restrictions beyond those that the plan names.
    Bundle {
        /// The directory on the host.
        path: PathBuf,
        /// Remount it read-only once set up.
        readonly: bool,
    },
    /// Layers joined by overlayfs. The mount exists only in the container's mount namespace.
    Overlay {
        /// Lower directories, topmost first (overlayfs order). At least one.
        lower: Vec<PathBuf>,
        /// Upper directory: receives changes, with container ids on disk.
        upper: PathBuf,
        /// Overlay work directory on the same file system as `upper`.
        work: PathBuf,
        /// Remount the whole root read-only once set up.
        readonly: bool,
        /// Mount with `volatile`: no fsync reaches the disk (build steps; the committer syncs once).
        volatile: bool,
    },
}

/// How one namespace is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Namespace {
    /// A new one.
    #[default]
    New,
    /// The caller's own.
    Host,
    /// An existing one, by path such as `/proc/123/ns/net`.
    Join(PathBuf),
}

/// All namespaces but mount, which is always new.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Namespaces {
    pub user: Namespace,
    pub pid: Namespace,
    pub net: Namespace,
    pub ipc: Namespace,
    pub uts: Namespace,
    pub cgroup: Namespace,
    pub time: Namespace,
}

/// One range of an id mapping, in ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside the container.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// User and group id mappings of a new user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// User ids.
    pub uid: Vec<IdRange>,
    /// Group ids.
    pub gid: Vec<IdRange>,
}

/// One mount.
#[derive(Debug, Clone)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Absolute path inside the container; missing parents are created inside the root.
    pub target: String,
    /// Restrictions.
    pub flags: MountFlags,
}

/// What is mounted.
#[derive(Debug, Clone)]
pub enum MountKind {
    /// A host file or directory.
    Bind {
        /// Path on the host.
        source: PathBuf,
        /// Include mounts below it.
        recursive: bool,
        /// Translate ids by the plan's map, so that container root is the owner that the host sees as 0.
        idmapped: bool,
    },
    /// A host file or directory with an id mapping of its own.
    MappedBind {
        /// Path on the host.
        source: PathBuf,
        /// Include mounts below it.
        recursive: bool,
        /// The mapping; `None` is the plan's.
        map: Option<IdMap>,
        /// Map the mounts below it, too.
        map_recursively: bool,
    },
    /// Memory.
    Tmpfs {
        /// Limit in bytes; `None` is the kernel's half of memory.
        size_bytes: Option<u64>,
        /// Mode of its root, for example `0o1777`.
        mode: u32,
    },
    /// The process table of the container's pid namespace. With `hidepid`, processes of other users are invisible.
    Proc {
        /// `hidepid=invisible`
        hidepid: bool,
        /// `subset=pid`: nothing but processes.
        only_pids: bool,
    },
    /// Kernel objects; read-only unless flags say otherwise.
    Sysfs,
    /// A minimal /dev on tmpfs, with the standard nodes and links, /dev/pts, /dev/shm and /dev/mqueue.
    Dev {
        /// Size of /dev/shm in bytes (docker: 64 MiB).
        shm_bytes: u64,
    },
    /// cgroup file systems as the host has them, rooted at the container's own group.
    Cgroup,
    /// Any other file system by name.
    Other {
        /// Type for `mount(2)`.
        fstype: String,
        /// Source string.
        source: String,
        /// Options string.
        data: String,
    },
}

/// Restrictions of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MountFlags {
    pub readonly: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
    /// Propagation; private where not given.
    pub propagation: Propagation,
    /// Attributes by their bits.
    pub bits: MountBits,
}

/// Attributes of a mount as the kernel numbers them, beside the restrictions of [`MountFlags`] (`MOUNT_ATTR_*` of
/// `linux/mount.h`, see mount_setattr(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountBits {
    /// To set on the mount itself.
    pub set: u64,
    /// To clear on the mount itself.
    pub clear: u64,
    /// To set on the mount and all below it.
    pub set_below: u64,
    /// To clear on the mount and all below it.
    pub clear_below: u64,
    /// Flags of the file system, for mount(2): `MS_SYNCHRONOUS` and its kind. Binds have none.
    pub file_system: u64,
    /// The propagation goes for the mounts below, too.
    pub propagate_below: bool,
    /// A tmpfs begins with what it covers.
    pub copy_up: bool,
}

/// Mount propagation (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Propagation {
    #[default]
    Private,
    Slave,
    Shared,
    Unbindable,
}

/// A device node from the host, bind-mounted (user namespaces cannot create nodes).
#[derive(Debug, Clone)]
pub struct Device {
    /// Path on the host.
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: String,
    /// Access for the device cgroup: any of `r`, `w`, `m`.
    pub access: String,
}

/// A process to run: the first one, or one of `exec`.
#[derive(Debug, Clone)]
pub struct Process {
    /// Program and arguments; the program is looked up in the PATH of `env` inside the container.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Absolute working directory inside; created if missing.
    pub cwd: String,
    /// Numeric ids inside the container.
    pub uid: u32,
    /// Numeric ids inside the container.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode creation mask; `None` is 0022.
    pub umask: Option<u32>,
    /// Capability sets.
    pub capabilities: CapabilitySets,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: bool,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// -1000..=1000; lowering may be refused by the kernel and is then an error only if it was asked for.
    pub oom_score_adj: Option<i32>,
    /// A pseudo-terminal of this size (columns, rows) becomes stdin, stdout and stderr.
    pub terminal: Option<(u16, u16)>,
    /// What only bundles of the OCI runtime specification ask for.
    pub extra: ProcessExtra,
}

/// Resource limit by its `RLIMIT_` name in lower case without the prefix: `nofile`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rlimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// A set of capabilities as a bit mask by capability number (capabilities(7), `linux/capability.h`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

/// The five sets of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CapabilitySets {
    pub bounding: Capabilities,
    pub effective: Capabilities,
    pub permitted: Capabilities,
    pub inheritable: Capabilities,
    pub ambient: Capabilities,
}

/// The container's cgroup: a path below the root of every hierarchy.
#[derive(Debug, Clone, Default)]
pub struct CgroupPlan {
    /// Relative path such as `stockade/<id>`; empty means: stay in the caller's group, no limits.
    pub path: String,
    /// Limits.
    pub limits: Limits,
}

/// Resource limits; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory and swap together, in bytes (docker's `--memory-swap`).
    pub memory_swap_bytes: Option<u64>,
    /// Soft limit, in bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// CPU time in thousandths of a core: `--cpus 1.5` is 1500.
    pub cpu_millis: Option<u64>,
    /// Relative weight (docker's `--cpu-shares`, 1024 is normal).
    pub cpu_shares: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// A system call allowlist, by names. Calls unknown to this machine's table are skipped.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SeccompPolicy {
    /// Shown by `inspect` and `explain`: `standard`, `compat`, `strict` or a file name.
    pub name: String,
    /// What happens to a call no rule names.
    pub default_action: SeccompAction,
    /// Rules; where several match, the first wins.
    pub rules: Vec<SeccompRule>,
    /// What the filter has beside its rules.
    #[serde(default)]
    pub extra: SeccompExtra,
}

/// Properties of a filter beside its rules (seccomp(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SeccompExtra {
    /// `SECCOMP_FILTER_FLAG_LOG`: log refusals.
    pub log: bool,
    /// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: no speculative store bypass mitigation.
    pub spec_allow: bool,
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
    pub wait_killable: bool,
    /// 32-bit programs of the same family (i386 on x86_64) are judged by the same rules instead of killed.
    pub compat: bool,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SeccompRule {
    /// System call names.
    pub calls: Vec<String>,
    /// What happens.
    pub action: SeccompAction,
    /// All must hold; empty always holds.
    pub arguments: Vec<SeccompArgument>,
}

/// What the kernel does (seccomp(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)]
pub enum SeccompAction {
    Allow,
    Errno(u16),
    KillThread,
    KillProcess,
    Trap,
    Trace(u16),
    Log,
    Notify,
}

/// A test of one argument register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SeccompArgument {
    /// 0..=5
    pub index: u8,
    /// Comparison.
    pub op: SeccompOp,
    /// Right-hand side (the mask for `MaskedEqual`).
    pub value: u64,
    /// Second value: what the masked argument must equal.
    pub value_two: u64,
}

/// Comparison of an argument, unsigned 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)]
pub enum SeccompOp {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    MaskedEqual,
}

/// Where the process's standard streams go when it has no terminal.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Stdio {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}
