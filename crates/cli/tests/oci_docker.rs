//! We are dockerd's runtime, and containerd's: a real dockerd and a real containerd with directories of their own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A directory with a busybox root, and a daemon that is stopped at the end.
struct Daemon {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Daemon {
    /// `None`, with a word why, where the test cannot run.
    fn new(programs: &[&str]) -> Option<Daemon> {
        if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs root and the package busybox-static");
            return None;
        }
        for program in programs {
            let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if found.is_err() {
                eprintln!("skipped: {program} is missing (packages docker.io and containerd)");
                return None;
            }
        }
        let dir = tempfile::Builder::new().prefix("stockade-oci-").tempdir().unwrap();
        let bin = dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in
            ["cat", "echo", "env", "grep", "hostname", "id", "ls", "mount", "sh", "sleep", "touch", "true", "tty"]
        {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        for name in ["proc", "sys", "dev", "tmp", "etc"] {
            fs::create_dir(dir.path().join("rootfs").join(name)).unwrap();
        }
        Some(Daemon { dir, child: None })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the daemon and waits until `answers` succeeds.
    fn start(&mut self, command: &mut Command, answers: &dyn Fn(&Self) -> bool) {
        let log = fs::File::create(self.path("log")).unwrap();
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        for _ in 0..600 {
            if answers(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the daemon does not answer:\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
        // Namespaces of networks that dockerd keeps mounted.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let below = self.dir.path().display().to_string();
        for mount in mounts.lines().filter_map(|l| l.split(' ').nth(1)).filter(|m| m.starts_with(&below)) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}

/// Exit code and all that was said.
fn told(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

fn docker(daemon: &Daemon, args: &[&str]) -> Output {
    Command::new("docker")
        .env("DOCKER_CONFIG", daemon.dir.path())
        .arg("-H")
        .arg(format!("unix://{}", daemon.path("sock").display()))
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn dockerd_runs_its_containers_with_us() {
    let Some(mut daemon) = Daemon::new(&["dockerd", "docker"]) else { return };
    let mut command = Command::new("dockerd");
    command
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"])
        .arg("--data-root")
        .arg(daemon.path("data"))
        .arg("--exec-root")
        .arg(daemon.path("exec"))
        .arg("-p")
        .arg(daemon.path("pid"))
        .arg("-H")
        .arg(format!("unix://{}", daemon.path("sock").display()))
        .arg(format!("--add-runtime=stockade={}", env!("CARGO_BIN_EXE_stockade")))
        .arg("--default-runtime=stockade");
    daemon.start(&mut command, &|d| docker(d, &["version"]).status.success());
    let d = |args: &str| {
        // Words in single quotes are one argument.
        let args: Vec<&str> = args
            .split('\'')
            .enumerate()
            .flat_map(|(i, part)| if i % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
            .collect();
        told(&docker(&daemon, &args))
    };
    let tar = daemon.path("root.tar");
    let packed =
        Command::new("tar").arg("-C").arg(daemon.path("rootfs")).arg("-cf").arg(&tar).arg(".").status().unwrap();
    assert!(packed.success());
    assert_eq!(d(&format!("import {} box", tar.display())).0, 0);
    assert!(d("info").1.contains("Default Runtime: stockade"));

    // (what, exit code, words in the output)
    for (args, code, words) in [
        ("run --rm box sh -c 'id -u; grep CapEff /proc/self/status'", 0, "00000000a80425fb"),
        ("run --rm box sh -c 'grep ^Seccomp: /proc/self/status'", 0, "2"),
        ("run --rm -t box sh -c 'tty; exit 3'", 3, "/dev/pts/0"),
        ("run --rm box nosuch", 127, "executable file not found"),
        ("run --rm box /etc", 126, "permission denied"),
        ("run --rm --privileged box mount -t tmpfs x /tmp", 0, ""),
        ("run --rm --read-only box touch /x", 1, "Read-only"),
        ("run --rm --tmpfs /run:size=1m box grep /run /proc/mounts", 0, "size=1024k"),
        ("run --rm -v /etc/hostname:/h:ro box cat /h", 0, ""),
        ("run --rm --cap-drop ALL --user 5:6 box sh -c 'id; grep CapBnd /proc/self/status'", 0, "0000000000000000"),
        ("run --rm --device /dev/fuse box ls /dev/fuse", 0, "/dev/fuse"),
        ("run --rm --ulimit nofile=99:99 box sh -c 'ulimit -n'", 0, "99"),
        ("run --rm --hostname a-name box hostname", 0, "a-name"),
        ("run --rm --pids-limit 44 --memory 64m --cpus 0.5 --cpuset-cpus 0 box true", 0, ""),
        ("run --rm --pid host box true", 0, ""),
        (
            "run --rm --ipc host --uts host --security-opt seccomp=unconfined box grep ^Seccomp: /proc/self/status",
            0,
            "0",
        ),
        ("run --rm --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status", 0, "1"),
        ("run --rm --shm-size 1m box grep /dev/shm /proc/mounts", 0, "size=1024k"),
        ("run -d --name c1 --memory 64m box sleep 100", 0, ""),
        ("exec c1 sh -c 'echo from exec'", 0, "from exec"),
        ("exec -t c1 tty", 0, "/dev/pts/"),
        ("exec c1 sh -c 'exit 5'", 5, ""),
        ("exec c1 nosuch", 126, "executable file not found"),
        ("pause c1", 0, ""),
        ("ps", 0, "(Paused)"),
        ("unpause c1", 0, ""),
        ("update --memory 80m --memory-swap 100m c1", 0, ""),
        ("stats --no-stream c1", 0, "80MiB"),
        ("top c1", 0, "sleep 100"),
        ("restart -t 0 c1", 0, ""),
        ("kill c1", 0, ""),
        ("start c1", 0, ""),
        ("stop -t 0 c1", 0, ""),
        ("ps -a", 0, "Exited (137)"),
        ("rm c1", 0, ""),
    ] {
        let (got, text) = d(args);
        assert!(
            got == code && text.contains(words),
            "docker {args}: exit {got}, wanted {code} and `{words}`:\n{text}\n{}",
            daemon.log()
        );
    }
}

#[test]
fn containerd_runs_its_containers_with_us() {
    let Some(mut daemon) = Daemon::new(&["containerd", "ctr"]) else { return };
    let at = |name: &str| daemon.path(name).display().to_string();
    let config = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
        at("root"),
        at("state"),
        at("sock"),
        at("ttrpc"),
    );
    fs::write(daemon.path("config.toml"), config).unwrap();
    let mut command = Command::new("containerd");
    command.arg("-c").arg(daemon.path("config.toml"));
    let ctr = |daemon: &Daemon, args: &[&str]| {
        Command::new("ctr").arg("-a").arg(daemon.path("sock")).args(args).stdin(Stdio::null()).output().unwrap()
    };
    daemon.start(&mut command, &|d| ctr(d, &["version"]).status.success());
    let rootfs = daemon.path("rootfs").display().to_string();
    let run = |more: &[&str], id: &str, program: &[&str]| {
        let runtime = ["run", "--runtime", "io.containerd.runc.v2", "--runc-binary", env!("CARGO_BIN_EXE_stockade")];
        let args = [&runtime, more, &["--rootfs", &rootfs, id], program].concat();
        told(&ctr(&daemon, &args))
    };
    let said = run(&["--rm"], "a", &["/bin/sh", "-c", "echo hello; exit 4"]);
    assert!(said.0 == 4 && said.1.contains("hello"), "{said:?}\n{}", daemon.log());
    assert_eq!(run(&["-d"], "c", &["/bin/sleep", "100"]).0, 0);
    let task = |args: &[&str]| told(&ctr(&daemon, &[&["task"], args].concat()));
    assert!(task(&["exec", "--exec-id", "e", "c", "/bin/echo", "from exec"]).1.contains("from exec"));
    assert_eq!(task(&["pause", "c"]).0, 0);
    assert!(task(&["ls"]).1.contains("PAUSED"));
    assert_eq!(task(&["resume", "c"]).0, 0);
    assert!(task(&["metrics", "c"]).1.contains("pids.current"));
    assert_eq!(task(&["kill", "-s", "KILL", "c"]).0, 0);
    for _ in 0..300 {
        if task(&["ls"]).1.contains("STOPPED") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Its exit code is the task's: 137.
    task(&["rm", "c"]);
    assert!(!task(&["ls"]).1.contains('c') || !task(&["ls"]).1.contains("sleep"));
    assert_eq!(told(&ctr(&daemon, &["container", "rm", "c"])).0, 0);
}
