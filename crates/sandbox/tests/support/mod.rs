//! A small world for tests on the real kernel: a busybox root, plans, and a check that nothing is left.
#![allow(dead_code)]

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use stockade_sandbox::cgroup::Cgroup;
use stockade_sandbox::{
    CapabilitySets, CgroupPlan, ExitStatus, IdMap, Limits, Namespace, Namespaces, Plan, Process, Root, SandboxError,
    Stdio, caps, create, defaults, seccomp,
};

/// First host id of the containers' ranges in tests.
pub const BASE_ID: u32 = 1_200_000_000;

/// Why this test cannot run here, if so. Prints it: a skip must be seen.
pub fn skip() -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return true;
    }
    if !Path::new("/bin/busybox").exists() {
        eprintln!("skipped: needs the package busybox-static");
        return true;
    }
    false
}

/// Scratch directories of one test: a lower layer with busybox, an empty upper layer.
pub struct World {
    pub dir: tempfile::TempDir,
    pub id: String,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let world = World { dir: tempfile::tempdir().unwrap(), id };
        let lower = world.lower();
        for name in ["bin", "etc", "proc", "sys", "dev", "tmp", "root", "home"] {
            std::fs::create_dir_all(lower.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", lower.join("bin/busybox")).unwrap();
        for tool in [
            "sh", "true", "false", "cat", "ls", "id", "echo", "sleep", "stat", "mount", "umount", "mkdir", "touch",
            "kill", "ps", "grep", "readlink", "hostname", "tty", "stty", "chown", "dd", "head", "wc", "nproc", "env",
            "pwd", "mknod", "test", "awk", "rm", "ln", "tail", "tr", "sync", "date", "ip", "chroot", "unshare",
            "ulimit", "trap", "sort",
        ] {
            std::os::unix::fs::symlink("busybox", lower.join("bin").join(tool)).unwrap();
        }
        std::fs::write(lower.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")
            .unwrap();
        std::fs::write(lower.join("etc/group"), "root:x:0:\nuser:x:1000:\nextra:x:1001:user\n").unwrap();
        for name in ["upper", "work"] {
            std::fs::create_dir(world.path(name)).unwrap();
        }
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn lower(&self) -> PathBuf {
        self.path("lower")
    }

    pub fn cgroup(&self) -> Cgroup {
        Cgroup::open(&format!("stockade-test/{}", self.id))
    }

    /// A plan of the standard level that runs `args`.
    pub fn plan(&self, args: &[&str]) -> Plan {
        Plan {
            id: self.id.clone(),
            root: Root::Overlay {
                lower: vec![self.lower()],
                upper: self.path("upper"),
                work: self.path("work"),
                readonly: false,
                volatile: false,
            },
            mounts: defaults::mounts(defaults::Level::Standard),
            namespaces: all_new(),
            id_map: Some(IdMap::contiguous(BASE_ID, 65_536)),
            hostname: Some("box".to_owned()),
            domainname: None,
            process: process(args),
            masked_paths: defaults::masked_paths(),
            readonly_paths: defaults::readonly_paths(),
            devices: Vec::new(),
            sysctls: defaults::network_sysctls(),
            cgroup: CgroupPlan {
                path: self.cgroup().path().to_owned(),
                limits: Limits { pids: Some(256), memory_bytes: Some(512 << 20), ..Limits::default() },
            },
            seccomp: Some(seccomp::standard()),
            landlock: true,
            init: false,
            extra: stockade_sandbox::Extra::default(),
        }
    }

    /// A plan like docker's default: no user namespace, docker's capabilities and filter.
    pub fn compat_plan(&self, args: &[&str]) -> Plan {
        let mut plan = self.plan(args);
        plan.namespaces.user = Namespace::Host;
        plan.id_map = None;
        plan.process.capabilities = CapabilitySets::for_user(caps::DOCKER_DEFAULT, 0);
        plan.process.no_new_privileges = false;
        plan.seccomp = Some(seccomp::compat());
        plan.landlock = false;
        plan
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let cgroup = self.cgroup();
        let _ = cgroup.kill();
        let _ = cgroup.remove();
    }
}

pub fn all_new() -> Namespaces {
    Namespaces {
        user: Namespace::New,
        pid: Namespace::New,
        net: Namespace::New,
        ipc: Namespace::New,
        uts: Namespace::New,
        cgroup: Namespace::New,
        time: Namespace::New,
    }
}

pub fn process(args: &[&str]) -> Process {
    Process {
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned(), "HOME=/root".to_owned()],
        cwd: "/".to_owned(),
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        umask: None,
        capabilities: CapabilitySets::for_user(caps::STANDARD, 0),
        no_new_privileges: true,
        rlimits: Vec::new(),
        oom_score_adj: None,
        terminal: None,
        extra: stockade_sandbox::ProcessExtra::default(),
    }
}

/// Pipes for the standard streams: what the container gets, and our end of its output (both streams).
pub fn pipes() -> (Stdio, OwnedFd) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdin = std::fs::File::open("/dev/null").unwrap().into();
    (Stdio { stdin, stdout: write.try_clone().unwrap(), stderr: write }, read)
}

pub fn read_all(fd: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}

/// Runs a plan to its end: status and output.
pub fn run(plan: &Plan) -> Result<(ExitStatus, String), SandboxError> {
    let (stdio, output) = pipes();
    let mut running = create(plan, Some(stdio))?.start()?;
    let text = read_all(output);
    Ok((running.wait()?, text))
}

/// Runs a shell script at the standard level; its output. Fails the test when it does not end with 0.
pub fn script(world: &World, text: &str) -> String {
    output_of(&world.plan(&["sh", "-c", text]))
}

pub fn output_of(plan: &Plan) -> String {
    let (status, text) = run(plan).unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(status.code, 0, "output: {text}");
    text
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Whether a pidfd says that its process has ended.
pub fn has_ended(pidfd: impl AsFd) -> bool {
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
}
