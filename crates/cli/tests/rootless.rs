//! The verbs as an ordinary user: build, run, publish, exec, stop, and nothing left.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A user who exists only for the commands of one test: in a mount namespace of their own they see account files that
/// know the user. The host's are not touched.
struct User {
    dir: tempfile::TempDir,
    uid: u32,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out.trim_end().to_owned()
    }

    #[track_caller]
    fn fails(self, words: &str) -> String {
        assert_ne!(self.code, 0, "stdout: {}", self.out);
        assert!(self.err.contains(words), "no `{words}` in: {}", self.err);
        self.err
    }
}

impl User {
    /// `ids`: with subordinate ids. `None`, with a word why, where this cannot run.
    fn new(ids: bool) -> Option<User> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: to become an ordinary user needs root");
            return None;
        }
        for program in ["/usr/bin/newuidmap", "/usr/bin/pasta", "/bin/busybox", "/usr/bin/setpriv"] {
            if !Path::new(program).exists() {
                eprintln!("skipped: {program} is missing; install uidmap, passt, busybox-static and util-linux");
                return None;
            }
        }
        // Ids that no container of root's has, and no other test process.
        let number = (std::process::id() % 20_000) * 8 + NUMBER.fetch_add(1, Ordering::Relaxed) % 8;
        let uid = 0x7100_0000 + number;
        let dir = tempfile::Builder::new().prefix("stockade-user-").tempdir().unwrap();
        let user = User { dir, uid };
        fs::set_permissions(user.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["home", "run", "ctx"] {
            fs::create_dir(user.path(name)).unwrap();
            chown(user.path(name), Some(uid), Some(uid)).unwrap();
        }
        let line = |file: &str, line: String| {
            let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap_or_default();
            fs::write(user.path(file), format!("{text}{line}\n")).unwrap();
        };
        line("passwd", format!("tester:x:{uid}:{uid}::{}:/bin/sh", user.path("home").display()));
        for file in ["subuid", "subgid"] {
            let first = 0x7200_0000 + (number % 3000) * 65_536;
            line(file, if ids { format!("tester:{first}:65536") } else { String::new() });
        }
        // The program may be where only root can go.
        let program = env!("CARGO_BIN_EXE_stockade");
        fs::hard_link(program, user.path("stockade"))
            .or_else(|_| fs::copy(program, user.path("stockade")).map(drop))
            .unwrap();
        fs::set_permissions(user.path("stockade"), fs::Permissions::from_mode(0o755)).unwrap();
        user.furnish_image();
        Some(user)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An image of busybox alone.
    fn furnish_image(&self) {
        let root = self.path("ctx/root");
        for dir in ["bin", "etc", "tmp", "old/deep"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("old/deep/file"), b"x").unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n").unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nweb:x:33:\n").unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for applet in
            ["sh", "id", "cat", "ls", "sleep", "true", "echo", "stat", "chown", "rm", "mkdir", "touch", "nc", "ip"]
        {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let file = "FROM scratch\nCOPY root/ /\nCMD [\"sh\"]\n";
        fs::write(self.path("ctx/Dockerfile"), file).unwrap();
        self.sk(&["build", "-q", "-t", "box", &self.path("ctx").display().to_string()]).ok();
    }

    /// The command as this user, in a shell that runs `before` as root first.
    fn command_after(&self, before: &str, arguments: &[&str]) -> Command {
        let dir = self.dir.path().display();
        let script = format!(
            "set -e\nfor f in passwd subuid subgid; do mount --bind {dir}/$f /etc/$f; done\n\
             if [ -c /dev/net/tun ]; then mknod -m 666 {dir}/tun.$$ c 10 200; mount --bind {dir}/tun.$$ /dev/net/tun; fi\n\
             {before}\nexec setpriv --reuid {uid} --regid {uid} --clear-groups {dir}/stockade \"$@\"",
            uid = self.uid
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("STOCKADE_GATE", "off")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    fn sk(&self, arguments: &[&str]) -> Ran {
        ran(self.command_after("", arguments).output().unwrap())
    }

    /// Processes of this user or of the user's subordinate ids.
    fn processes(&self) -> Vec<String> {
        let home = self.dir.path().display().to_string();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter(|e| e.file_name().to_str().is_some_and(|n| n.parse::<i32>().is_ok()))
            .filter(|e| {
                let environment = fs::read(e.path().join("environ")).unwrap_or_default();
                let own = fs::metadata(e.path()).is_ok_and(|m| m.uid() == self.uid);
                own || String::from_utf8_lossy(&environment).contains(&home)
            })
            .map(|e| {
                String::from_utf8_lossy(&fs::read(e.path().join("cmdline")).unwrap_or_default()).replace('\0', " ")
            })
            .collect()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < until, "{what}: {:?}", self.processes());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// No process, no container directory, no mount.
    #[track_caller]
    fn nothing_left(&self) {
        self.wait_for("processes are left", || self.processes().is_empty());
        for dir in ["home/.local/share/stockade/containers", "run/stockade/containers", "run/stockade/steps"] {
            let left: Vec<_> = fs::read_dir(self.path(dir)).into_iter().flatten().flatten().map(|e| e.path()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&self.dir.path().display().to_string()));
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let ids = self.sk(&["ps", "-aq"]).out;
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            self.sk(&[&["rm", "-f"], ids.as_slice()].concat());
        }
    }
}

fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn tun() -> bool {
    let there = Path::new("/dev/net/tun").exists();
    if !there {
        eprintln!("skipped: there is no /dev/net/tun, which pasta needs");
    }
    there
}

#[test]
fn a_container_lives_and_dies() {
    let Some(user) = User::new(true) else { return };
    let out = user.sk(&["run", "--rm", "--network", "none", "box", "sh", "-c", "id; cat /proc/self/uid_map"]).ok();
    assert!(out.starts_with("uid=0(root) gid=0(root)"), "{out}");
    assert!(out.contains("65536"), "{out}");
    assert_eq!(user.sk(&["run", "--rm", "--network", "none", "-u", "web", "box", "id", "-u"]).ok(), "33");
    assert_eq!(user.sk(&["run", "--rm", "--network", "none", "box", "sh", "-c", "exit 7"]).code, 7);

    user.sk(&["run", "-d", "--name", "web", "--network", "none", "box", "sh", "-c", "echo said; exec sleep 1000"]).ok();
    assert!(user.sk(&["ps"]).ok().contains("web"));
    assert_eq!(user.sk(&["exec", "web", "id", "-u"]).ok(), "0");
    assert_eq!(user.sk(&["exec", "-u", "web", "web", "id", "-u"]).ok(), "33");
    assert!(user.sk(&["top", "web"]).ok().contains("sleep 1000"));
    assert!(user.sk(&["stats", "--no-stream", "web"]).ok().contains("MiB"));
    user.wait_for("no log", || user.sk(&["logs", "web"]).ok() == "said");
    user.sk(&["pause", "web"]).fails("control group");
    // Inside, the program that runs it can neither be seen nor be written, although it belongs to the user.
    user.sk(&["exec", "web", "sh", "-c", "echo x > /proc/1/exe"]).fails("");
    user.sk(&["stop", "-t", "1", "web"]).ok();
    user.sk(&["start", "web"]).ok();
    assert_eq!(user.sk(&["inspect", "-f", "{{.State.Status}} {{.Stockade.Rootless}}", "web"]).ok(), "running true");
    user.sk(&["rm", "-f", "web"]).ok();
    user.nothing_left();
}

#[test]
fn layers_are_built_with_owners_and_whiteouts() {
    let Some(user) = User::new(true) else { return };
    fs::write(user.path("ctx/f"), b"file\n").unwrap();
    fs::write(
        user.path("ctx/Dockerfile.two"),
        "FROM box\nRUN touch /owned && chown 33:33 /owned && rm -r /old && mkdir /old && touch /old/new\n\
         COPY --chown=12:13 f /f\nRUN rm /etc/group && stat -c %u:%g /owned /f\nUSER web\nCMD [\"id\", \"-u\"]\n",
    )
    .unwrap();
    let ctx = user.path("ctx").display().to_string();
    user.sk(&["build", "-q", "--network", "none", "-f", &format!("{ctx}/Dockerfile.two"), "-t", "two", &ctx]).ok();
    let run = |args: &[&str]| user.sk(&[&["run", "--rm", "--network", "none", "two"], args].concat());
    assert_eq!(run(&[]).ok(), "33");
    assert_eq!(run(&["stat", "-c", "%u:%g", "/owned", "/f"]).ok(), "33:33\n12:13");
    assert_eq!(run(&["ls", "/old"]).ok(), "new");
    run(&["cat", "/etc/group"]).fails("");
    // A layer that goes to another machine says the same.
    let tar = user.path("home/two.tar").display().to_string();
    user.sk(&["save", "-o", &tar, "two"]).ok();
    user.sk(&["rmi", "-f", "two"]).ok();
    user.sk(&["load", "-q", "-i", &tar]).ok();
    assert_eq!(run(&["ls", "/old"]).ok(), "new");
    user.nothing_left();
}

#[test]
fn a_published_port_answers_and_pasta_goes_with_the_container() {
    if !tun() {
        return;
    }
    let Some(user) = User::new(true) else { return };
    let serve = "while :; do echo hello | nc -l -p 80; done";
    user.sk(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "box", "sh", "-c", serve]).ok();
    let address = user.sk(&["port", "web", "80"]).ok();
    let mut heard = String::new();
    user.wait_for("no answer", || {
        heard.clear();
        let Ok(mut stream) = std::net::TcpStream::connect(&address) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = stream.write_all(b"\n");
        stream.read_to_string(&mut heard).is_ok() && heard == "hello\n"
    });
    let routes = user.sk(&["exec", "web", "ip", "route"]).ok();
    assert!(routes.contains("default via") && routes.contains("unreachable 169.254.0.0/16"), "{routes}");
    assert!(user.sk(&["explain", "web"]).ok().contains("pasta"));
    assert!(user.processes().iter().any(|p| p.contains("pasta")));
    user.sk(&["run", "--rm", "-p", "81:80", "box", "true"]).fails("net.ipv4.ip_unprivileged_port_start");
    user.sk(&["run", "--rm", "-p", &format!("{address}:80"), "box", "true"]).fails("already in use");
    user.sk(&["rm", "-f", "web"]).ok();
    user.nothing_left();
}

#[test]
fn a_killed_monitor_leaves_nothing() {
    if !tun() {
        return;
    }
    let Some(user) = User::new(true) else { return };
    user.sk(&["run", "-d", "--name", "web", "box", "sleep", "1000"]).ok();
    let monitor = user.sk(&["inspect", "-f", "{{.Stockade.Monitor.Pid}}", "web"]).ok();
    let monitor = rustix::process::Pid::from_raw(monitor.parse().unwrap()).unwrap();
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).unwrap();
    user.wait_for("it is not noticed", || user.sk(&["ps", "-a"]).ok().contains("Exited (137)"));
    user.sk(&["rm", "web"]).ok();
    user.nothing_left();
}

#[test]
fn without_subordinate_ids_there_is_one_user() {
    let Some(user) = User::new(false) else { return };
    let ran = user.sk(&["run", "--rm", "--network", "none", "box", "id", "-u"]);
    assert!(ran.err.contains("/etc/subuid"), "{}", ran.err);
    assert_eq!(ran.ok(), "0");
    user.sk(&["run", "--rm", "--network", "none", "-u", "web", "box", "id"]).fails("/etc/subuid");
    // The kernel's answer to a change of owner is EINVAL, and the program's own affair.
    user.sk(&["run", "--rm", "--network", "none", "box", "chown", "33", "/etc/passwd"]).fails("Invalid argument");
    user.nothing_left();
}

#[test]
fn limits_hold_where_they_were_delegated_and_are_refused_elsewhere() {
    let Some(user) = User::new(true) else { return };
    user.sk(&["run", "--rm", "--network", "none", "-m", "64m", "box", "true"]).fails("--memory");
    user.sk(&["run", "--rm", "--network", "none", "--cpus", "1", "box", "true"]).fails("--cpus");
    let bomb = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo all";
    user.sk(&["run", "--rm", "--network", "none", "--pids-limit", "8", "box", "sh", "-c", bomb]).fails("fork");

    let top = Path::new("/sys/fs/cgroup/memory");
    if !top.join("tasks").exists() {
        eprintln!("skipped the rest: there is no first version memory hierarchy to delegate a group of");
        return;
    }
    let group = top.join(format!("stockade-user-{}", user.uid));
    fs::create_dir(&group).unwrap();
    for file in ["", "cgroup.procs", "tasks"] {
        chown(group.join(file), Some(user.uid), Some(user.uid)).unwrap();
    }
    let join = format!("echo $$ > {}/cgroup.procs", group.display());
    let arguments =
        ["run", "--rm", "--network", "none", "-m", "64m", "box", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limited = ran(user.command_after(&join, &arguments).output().unwrap());
    let detached = ["run", "-d", "--name", "l", "--network", "none", "-m", "64m", "box", "sleep", "1000"];
    let started = ran(user.command_after(&join, &detached).output().unwrap());
    // From elsewhere the container's group is found by its process.
    let seen = user.sk(&["stats", "--no-stream", "l"]);
    let inside = user.sk(&["exec", "l", "cat", "/proc/self/cgroup"]);
    user.sk(&["rm", "-f", "l"]).ok();
    user.wait_for("processes are left", || user.processes().is_empty());
    for dir in [group.join("stockade"), group] {
        if dir.exists() {
            fs::remove_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        }
    }
    assert_eq!(limited.ok(), (64 << 20).to_string());
    started.ok();
    assert!(seen.ok().contains("/ 64MiB"));
    assert!(inside.ok().contains("memory:"));
}

#[test]
fn the_oci_runtime_runs_bundles_of_an_ordinary_user() {
    for ids in [true, false] {
        let Some(user) = User::new(ids) else { return };
        let bundle = user.path("ctx/bundle");
        fs::create_dir_all(bundle.join("rootfs")).unwrap();
        let copied = Command::new("cp").arg("-a").arg(user.path("ctx/root/.")).arg(bundle.join("rootfs")).status();
        assert!(copied.unwrap().success());
        let owner = format!("{0}:{0}", user.uid);
        assert!(Command::new("chown").arg("-R").arg(&owner).arg(&bundle).status().unwrap().success());
        let bundle_path = bundle.display().to_string();
        // runc's way: the configuration is written by the user, and says whose root the container's is.
        user.sk(&["oci", "spec", "--rootless", "--bundle", &bundle_path]).ok();
        let written = fs::read_to_string(bundle.join("config.json")).unwrap();
        assert!(written.contains(&format!("\"hostID\": {}", user.uid)), "{written}");
        let config = |script: &str| {
            let text = written.replace("\"terminal\": true", "\"terminal\": false");
            let text = text.replacen("\"sh\"", &format!("\"sh\", \"-c\", {script:?}"), 1);
            fs::write(bundle.join("config.json"), text).unwrap();
        };
        config("id -u; cat /proc/self/uid_map; cat /proc/self/status; ls /sys/kernel; exit 7");
        let ran = user.sk(&["oci", "run", "--bundle", &bundle_path, "one"]);
        assert_eq!(ran.code, 7, "{}{}", ran.out, ran.err);
        assert!(ran.out.starts_with("0\n"), "{}", ran.out);
        assert!(ran.out.contains("NoNewPrivs:\t1") && ran.out.contains("mm"), "{}", ran.out);

        // Created, started, looked at, signalled and removed by one call each, as an engine does.
        config("echo ready > /dev/shm/ready; sleep 1000");
        let create = user
            .command_after("", &["oci", "create", "--bundle", &bundle_path, "two"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(create.unwrap().success());
        let state = user.sk(&["oci", "state", "two"]).ok();
        assert!(state.contains("\"created\""), "{state}");
        user.sk(&["oci", "start", "two"]).ok();
        let begin = Instant::now();
        while user.sk(&["oci", "exec", "two", "cat", "/dev/shm/ready"]).out.trim() != "ready" {
            assert!(begin.elapsed() < PATIENCE, "exec never saw what the container wrote");
        }
        user.sk(&["oci", "kill", "two", "KILL"]).ok();
        while !user.sk(&["oci", "state", "two"]).ok().contains("\"stopped\"") {
            assert!(begin.elapsed() < PATIENCE, "the container never ended");
        }
        user.sk(&["oci", "delete", "two"]).ok();
        assert_eq!(user.sk(&["oci", "list", "-q"]).ok(), "");

        // Whose ids they are is told, not found out by the kernel's EPERM.
        let foreign = written.replace(&format!("\"hostID\": {}", user.uid), "\"hostID\": 0");
        fs::write(bundle.join("config.json"), foreign).unwrap();
        user.sk(&["oci", "run", "--bundle", &bundle_path, "three"]).fails("id 0 of the host, which is not yours");
        user.sk(&["oci", "--rootless", "false", "run", "--bundle", &bundle_path, "four"]).fails("root's rights");
    }
}
