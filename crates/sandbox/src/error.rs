//! What can go wrong between a plan and a running process.

use std::path::PathBuf;

use rustix::io::Errno;

/// An error of this room. Each message names the thing; [`source`](std::error::Error::source) is the kernel's answer.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The plan contradicts itself or asks for something that cannot exist.
    #[error("the plan for `{id}` is not valid: {why}")]
    InvalidPlan {
        /// Container id.
        id: String,
        /// What is wrong, and how it should be.
        why: String,
    },
    /// A system call that has no path of its own failed.
    #[error("cannot {what}")]
    System {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A file operation on the host failed.
    #[error("cannot {what} `{path}`")]
    Path {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// The path on the host.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// The root file system could not be put together.
    #[error("cannot prepare the root file system: {what} `{path}`{}", root_hint(what, *source))]
    Root {
        /// What was being done.
        what: &'static str,
        /// The layer or directory at fault.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A mount failed.
    #[error("cannot mount {kind} at `{target}` inside the container{}", mount_hint(kind, *source))]
    Mount {
        /// What was to be mounted: `proc`, `tmpfs`, `bind of /host/path` …
        kind: String,
        /// Path inside the container.
        target: String,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A path inside the container is not what it must be, for example a symbolic link in place of `/proc`.
    #[error("`{target}` inside the container is not usable: {why}")]
    Target {
        /// Path inside the container.
        target: String,
        /// What was found, and what is needed.
        why: String,
    },
    /// A cgroup operation failed.
    #[error("cannot {what} in cgroup `{path}`")]
    Cgroup {
        /// What was being done.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A limit was asked for that no mounted cgroup controller can enforce.
    #[error(
        "this machine has no usable `{controller}` cgroup controller, so the limit `{limit}` cannot be enforced; leave the limit out or mount the controller"
    )]
    NoController {
        /// Controller name.
        controller: &'static str,
        /// Which limit needs it.
        limit: &'static str,
    },
    /// The system call filter cannot be compiled.
    #[error("seccomp policy `{policy}` cannot be compiled: {why}")]
    Seccomp {
        /// The policy's name.
        policy: String,
        /// What is wrong.
        why: String,
    },
    /// A capability name nobody knows.
    #[error("unknown capability `{name}`; see capabilities(7) for the names")]
    UnknownCapability {
        /// What was given.
        name: String,
    },
    /// A resource limit could not be set.
    #[error("cannot set resource limit `{name}`{}", rlimit_hint(*source))]
    Rlimit {
        /// Name without `RLIMIT_`, in lower case.
        name: String,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A kernel setting could not be written.
    #[error(
        "cannot set sysctl `{name}` to `{value}`; only settings that belong to a namespace of the container can be set"
    )]
    Sysctl {
        /// Dotted name.
        name: String,
        /// Value.
        value: String,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A step inside the new process failed before it ran the program.
    #[error("the container's process cannot {step}")]
    Child {
        /// What it was doing, as a verb phrase.
        step: &'static str,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// The new process ended before it could run the program, without saying why (killed from outside, out of memory).
    #[error(
        "the container's process died while it was being set up; was it killed, or is the memory limit too small to start a process?"
    )]
    Died,
    /// The program could not be executed.
    #[error("cannot run `{program}` in the container")]
    Exec {
        /// The program as asked for.
        program: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// An ordinary user could not become root of a user namespace.
    #[error("{why}")]
    Rootless {
        /// What was refused, and what to do about it.
        why: String,
    },
    /// A hook failed.
    #[error("the {kind} hook `{path}` {why}")]
    Hook {
        /// `createRuntime` and so on.
        kind: &'static str,
        /// The program.
        path: PathBuf,
        /// How it failed.
        why: String,
    },
    /// Something that was asked for and that this machine or this runtime cannot do.
    #[error("`{what}` cannot be honoured: {why}")]
    Unsupported {
        /// Its name where it was asked for.
        what: String,
        /// The reason, and what to use instead.
        why: String,
    },
    /// `--user` names somebody the image does not know.
    #[error("unknown {kind} `{name}`: it is not in the container's `{file}`; use a number, or a name from that file")]
    UnknownUser {
        /// `user` or `group`.
        kind: &'static str,
        /// What was given.
        name: String,
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
    },
    /// A user or group specification that cannot be read.
    #[error("`{spec}` is not a user; write USER, UID, USER:GROUP or UID:GID")]
    BadUser {
        /// What was given.
        spec: String,
    },
    /// The process that was to be joined is gone.
    #[error("the container's process {pid} is not running")]
    NotRunning {
        /// Process id on the host.
        pid: i32,
    },
}

impl SandboxError {
    /// The program does not exist: exit code 127.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Exec { errno: Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP, .. })
    }

    /// The program exists and cannot be executed: exit code 126.
    pub fn is_not_executable(&self) -> bool {
        matches!(self, Self::Exec { .. }) && !self.is_not_found()
    }

    /// The exit code docker's users expect: 127 not found, 126 not executable, 125 for everything before that.
    pub fn exit_code(&self) -> i32 {
        match self {
            e if e.is_not_found() => 127,
            e if e.is_not_executable() => 126,
            _ => 125,
        }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::System { what, source }
    }

    pub(crate) fn path(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> Self {
        move |source| Self::Path { what, path: path.into(), source }
    }
}

fn mount_hint(kind: &str, source: Errno) -> &'static str {
    match source {
        Errno::NOENT if kind.starts_with("bind") => "; does the source exist on the host?",
        Errno::INVAL if kind.contains("idmapped") => "; the source's file system may not support id-mapped mounts",
        Errno::PERM => "; the kernel refuses this mount here",
        _ => "",
    }
}

fn root_hint(what: &str, source: Errno) -> &'static str {
    match source {
        Errno::INVAL if what.starts_with("map") => {
            "; its file system does not support id-mapped mounts (ext4, xfs, btrfs and tmpfs do)"
        }
        Errno::NOENT => "; it does not exist",
        _ => "",
    }
}

fn rlimit_hint(source: Errno) -> &'static str {
    if source == Errno::PERM {
        "; raising a hard limit needs CAP_SYS_RESOURCE, which this process does not have"
    } else {
        ""
    }
}

pub(crate) type Result<T, E = SandboxError> = std::result::Result<T, E>;

/// The errno of a std error, for errors that come from file functions of std.
pub(crate) fn errno(e: &std::io::Error) -> Errno {
    Errno::from_io_error(e).unwrap_or(Errno::IO)
}
