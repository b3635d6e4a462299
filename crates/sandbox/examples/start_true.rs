//! Measures start-to-exit of `/bin/true` with the standard level's plan.
//!
//! Usage: `start_true [TIMES] [ROOTFS] [PROGRAM]`, as root. Without ROOTFS one is made from busybox-static, or from the
//! host's /usr. Prints the median, the quartiles and the shares of create, start and exit.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stockade_sandbox::{
    CapabilitySets, CgroupPlan, IdMap, Limits, Namespace, Namespaces, Plan, Process, Root, Stdio, caps, cgroup, create,
    defaults, seccomp,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let times: usize = arguments.next().map_or(Ok(100), |t| t.parse())?;
    let scratch = PathBuf::from(format!("/tmp/stockade-start-true-{}", std::process::id()));
    let rootfs = arguments.next().map(PathBuf::from);
    let program = arguments.next().unwrap_or_else(|| "/bin/true".to_owned());
    let lower = match rootfs {
        Some(path) => path,
        None => busybox_root(&scratch.join("lower"))?,
    };
    for name in ["upper", "work"] {
        std::fs::create_dir_all(scratch.join(name))?;
    }
    let plan = plan(lower, &scratch, program);
    let mut samples = Vec::with_capacity(times);
    for _ in 0..times {
        samples.push(run(&plan)?);
    }
    cgroup::Cgroup::open(&plan.cgroup.path).remove()?;
    std::fs::remove_dir_all(&scratch)?;
    report(&mut samples);
    Ok(())
}

/// One start to exit: the whole, and the share of create and start.
fn run(plan: &Plan) -> Result<[Duration; 3], Box<dyn std::error::Error>> {
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let begin = Instant::now();
    let created = create(plan, Some(Stdio { stdin: null()?.into(), stdout: null()?.into(), stderr: null()?.into() }))?;
    let after_create = begin.elapsed();
    let mut running = created.start()?;
    let after_start = begin.elapsed();
    let status = running.wait()?;
    if status.code != 0 {
        return Err(format!("exit code {}", status.code).into());
    }
    cgroup::Cgroup::open(&plan.cgroup.path).remove()?;
    Ok([begin.elapsed(), after_create, after_start])
}

fn report(samples: &mut [[Duration; 3]]) {
    samples.sort();
    let at = |share: usize| samples[(samples.len() - 1) * share / 100];
    let [whole, create, start] = at(50);
    println!("median {whole:?} (create {create:?}, to exec {start:?}); 25 % {:?}, 75 % {:?}", at(25)[0], at(75)[0]);
}

fn busybox_root(root: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(root.join("bin"))?;
    std::fs::copy("/bin/busybox", root.join("bin/true")).map_err(|e| format!("install busybox-static: {e}"))?;
    for directory in ["proc", "sys", "dev", "etc", "tmp"] {
        std::fs::create_dir_all(root.join(directory))?;
    }
    Ok(root.to_owned())
}

fn plan(lower: PathBuf, scratch: &Path, program: String) -> Plan {
    Plan {
        id: "start-true".to_owned(),
        root: Root::Overlay {
            lower: vec![lower],
            upper: scratch.join("upper"),
            work: scratch.join("work"),
            readonly: false,
            volatile: false,
        },
        mounts: defaults::mounts(defaults::Level::Standard),
        namespaces: Namespaces {
            user: Namespace::New,
            pid: Namespace::New,
            net: Namespace::New,
            ipc: Namespace::New,
            uts: Namespace::New,
            cgroup: Namespace::New,
            time: Namespace::Host,
        },
        id_map: Some(IdMap::contiguous(500_000, 65_536)),
        hostname: Some("start-true".to_owned()),
        domainname: None,
        process: Process {
            args: vec![program],
            env: vec!["PATH=/bin".to_owned()],
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
        },
        masked_paths: defaults::masked_paths(),
        readonly_paths: defaults::readonly_paths(),
        devices: Vec::new(),
        sysctls: defaults::network_sysctls(),
        cgroup: CgroupPlan {
            path: format!("stockade-bench/{}", std::process::id()),
            limits: Limits { pids: Some(1024), memory_bytes: Some(8 << 30), ..Limits::default() },
        },
        seccomp: Some(seccomp::standard()),
        landlock: true,
        init: false,
        extra: stockade_sandbox::Extra::default(),
    }
}
