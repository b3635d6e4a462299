//! Parts of the runtime that need a partner: who answers for a system call, namespaces that are joined, the version 2 tree
//! of control groups alone, and conmon, through which CRI-O and Podman call a runtime.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with bundles of busybox, and the runtime with its state in it.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Option<World> {
        if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs root and the package busybox-static");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("stockade-parts-").tempdir().unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Some(World { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A bundle named `id`, whose script runs with the default configuration as `change` leaves it.
    fn bundle(&self, id: &str, script: &str, change: impl FnOnce(&mut Value)) {
        let root = self.path(id).join("rootfs");
        for name in ["bin", "proc", "sys", "dev", "tmp"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for name in ["sh", "cat", "echo", "id", "mkdir", "test", "readlink", "sleep", "awk", "tr", "true", "ls"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let spec = self.runtime(&["spec", "--bundle", self.path(id).to_str().unwrap()]);
        assert!(spec.status.success());
        let file = self.path(id).join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
        config["linux"]["cgroupsPath"] = json!(format!("/stockade-parts/{}-{id}", std::process::id()));
        change(&mut config);
        fs::write(file, serde_json::to_vec_pretty(&config).unwrap()).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockade-oci"));
        command.arg("--root").arg(self.path("state")).args(arguments).stdin(Stdio::null());
        command
    }

    fn runtime(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run(&self, id: &str) -> Output {
        self.runtime(&["run", "--bundle", self.path(id).to_str().unwrap(), id])
    }

    /// Without pipes, which a container that goes on would keep open.
    fn quietly(&self, arguments: &[&str]) {
        let status = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    fn pid(&self, id: &str) -> i64 {
        let state: Value = serde_json::from_slice(&self.runtime(&["state", id]).stdout).unwrap();
        state["pid"].as_i64().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ids = self.runtime(&["list", "-q"]);
        for id in String::from_utf8_lossy(&ids.stdout).lines() {
            self.runtime(&["delete", "--force", id]);
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The kernel asks the listener once; the answer is that the call has been done. (`struct seccomp_notif` is 80 bytes, the
/// answer 24: seccomp_unotify(2).)
const ANSWER_ONCE: &str = r#"
    my $ask = "\0" x 80;
    ioctl(STDIN, 0xc0502100, $ask) or die "receive: $!";
    my ($id) = unpack("Q", $ask);
    my $answer = pack("Q q l L", $id, 0, 0, 0);
    ioctl(STDIN, 0xc0182101, $answer) or die "send: $!";
"#;

fn answer(listener: &UnixListener) -> Value {
    let (stream, _) = listener.accept().unwrap();
    let mut buffer = vec![0; 16 << 10];
    let (length, mut descriptors) = stockade_sandbox::process::recv_fds(stream.as_fd(), &mut buffer).unwrap();
    let state: Value = serde_json::from_slice(&buffer[..length]).unwrap();
    assert_eq!(descriptors.len(), 1, "{state}");
    let descriptor: OwnedFd = descriptors.remove(0);
    let status =
        Command::new("/usr/bin/perl").args(["-e", ANSWER_ONCE]).stdin(Stdio::from(descriptor)).status().unwrap();
    assert!(status.success());
    state
}

#[test]
fn a_listener_answers_for_system_calls() {
    let Some(world) = World::new() else { return };
    if !Path::new("/usr/bin/perl").exists() {
        eprintln!("skipped: perl is missing");
        return;
    }
    let socket = world.path("listener");
    let listener = UnixListener::bind(&socket).unwrap();
    let script = "mkdir /tmp/nothing && echo told; test -d /tmp/nothing || echo 'not made'";
    let filtered = |config: &mut Value| {
        config["root"]["readonly"] = json!(false);
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": socket,
            "listenerMetadata": "words of the configuration",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }],
        });
    };
    // The caller of `run` is the one that hands the listener over, and of the other way `start`.
    world.bundle("run", script, filtered);
    let command =
        world.command(&["run", "--bundle", world.path("run").to_str().unwrap(), "run"]).stdout(Stdio::piped()).spawn();
    let state = answer(&listener);
    let output = command.unwrap().wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "told\nnot made\n");
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "words of the configuration");
    assert_eq!(state["state"]["id"], "run");
    assert!(state["pid"].as_i64().unwrap() > 1);

    world.bundle("start", &format!("({script}) > /tmp/out"), filtered);
    world.quietly(&["create", "--bundle", world.path("start").to_str().unwrap(), "start"]);
    let mut starting = world.command(&["start", "start"]).spawn().unwrap();
    assert_eq!(answer(&listener)["state"]["id"], "start");
    assert!(starting.wait().unwrap().success());
    let out = world.path("start/rootfs/tmp/out");
    wait_for("the container's words", || fs::read_to_string(&out).is_ok_and(|t| t == "told\nnot made\n"));

    // A process of `exec` has the filter, and a listener of its own.
    world.bundle("exec", "sleep 1000", filtered);
    world.quietly(&["run", "--detach", "--bundle", world.path("exec").to_str().unwrap(), "exec"]);
    drop(listener.accept().unwrap());
    let executing = world.command(&["exec", "exec", "/bin/sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let state = answer(&listener);
    let output = executing.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "told\nnot made\n");
    assert_eq!(state["state"]["pid"], world.pid("exec"));

    // Nobody there: the container is not started without its judge.
    drop(listener);
    let refused = world.run("run");
    assert!(!refused.status.success() && text(&refused).contains("listenerPath"), "{}", text(&refused));
}

fn namespaces(config: &Value) -> Vec<String> {
    let list = config["linux"]["namespaces"].as_array().unwrap();
    list.iter().map(|n| n["type"].as_str().unwrap().to_owned()).collect()
}

/// The name of a namespace below /proc/PID/ns.
fn file_of(kind: &str) -> &str {
    match kind {
        "network" => "net",
        "mount" => "mnt",
        other => other,
    }
}

#[test]
fn namespaces_of_every_kind_are_joined_by_path() {
    let Some(world) = World::new() else { return };
    world.bundle("first", "sleep 1000", |config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.push(json!({ "type": "user" }));
        for (key, outside) in [("uidMappings", 1_900_100_000_u32), ("gidMappings", 1_900_200_000)] {
            config["linux"][key] = json!([{ "containerID": 0, "hostID": outside, "size": 1000 }]);
        }
    });
    world.quietly(&["run", "--detach", "--bundle", world.path("first").to_str().unwrap(), "first"]);
    let first = world.pid("first");
    let name = |kind: &str| fs::read_link(format!("/proc/{first}/ns/{kind}")).unwrap().display().to_string();

    // As the containers of a pod: all but the mounts are the first one's.
    let kinds = ["user", "pid", "network", "ipc", "uts", "cgroup"];
    let script = "for n in user pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; id -u; tr -s ' ' < /proc/self/uid_map";
    world.bundle("second", script, |config| {
        let joined = kinds.iter().map(|k| json!({ "type": k, "path": format!("/proc/{first}/ns/{}", file_of(k)) }));
        config["linux"]["namespaces"] = joined.chain([json!({ "type": "mount" })]).collect();
        config.as_object_mut().unwrap().remove("hostname");
    });
    let wanted: Vec<String> = kinds.iter().map(|k| name(file_of(k))).collect();
    let output = world.run("second");
    let seen = text(&output);
    let lines: Vec<&str> = seen.lines().filter(|l| !l.starts_with("warning:")).collect();
    assert_eq!(lines[..6], wanted.iter().map(String::as_str).collect::<Vec<_>>()[..], "{seen}");
    assert_eq!(lines[6..], ["0", " 0 1900100000 1000"], "{seen}");

    // One at a time, with the others new.
    for kind in ["pid", "network", "ipc", "uts", "cgroup"] {
        let id = format!("only-{kind}");
        world.bundle(&id, &format!("readlink /proc/self/ns/{}", file_of(kind)), |config| {
            let list = namespaces(config).into_iter().map(|k| match k == kind {
                true => json!({ "type": k, "path": format!("/proc/{first}/ns/{}", file_of(kind)) }),
                false => json!({ "type": k }),
            });
            config["linux"]["namespaces"] = list.collect();
            if kind == "uts" {
                config.as_object_mut().unwrap().remove("hostname");
            }
        });
        let output = world.run(&id);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), name(file_of(kind)), "{}", text(&output));
    }
}

#[test]
fn a_time_namespace_is_joined_by_path() {
    let Some(world) = World::new() else { return };
    if !Path::new("/proc/self/ns/time").exists() {
        eprintln!("skipped: the kernel has no time namespaces");
        return;
    }
    let offset = json!({ "boottime": { "secs": 500_000_000, "nanosecs": 0 } });
    world.bundle("ahead", "sleep 1000", |config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
        config["linux"]["timeOffsets"] = offset;
    });
    world.quietly(&["run", "--detach", "--bundle", world.path("ahead").to_str().unwrap(), "ahead"]);
    let ahead = world.pid("ahead");
    let wanted = fs::read_link(format!("/proc/{ahead}/ns/time")).unwrap().display().to_string();
    world.bundle(
        "with",
        "readlink /proc/self/ns/time; awk '{print ($1 > 500000000) ? \"ahead\" : \"now\"}' /proc/uptime",
        |config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.push(json!({ "type": "time", "path": format!("/proc/{ahead}/ns/time") }));
        },
    );
    let output = world.run("with");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{wanted}\nahead\n"), "{}", text(&output));
}

/// The runtime where the version 2 tree is all there is: in a mount namespace with nothing else below /sys/fs/cgroup.
fn on_unified(world: &World, id: &str) -> Output {
    let script = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"])
        .arg(env!("CARGO_BIN_EXE_stockade-oci"))
        .arg("--root")
        .arg(world.path("state"))
        .args(["run", "--bundle", world.path(id).to_str().unwrap(), id])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Controllers of the version 2 tree at its top, `None` where there is no such tree.
fn unified_controllers() -> Option<Vec<String>> {
    let places = ["/sys/fs/cgroup/unified/cgroup.controllers", "/sys/fs/cgroup/cgroup.controllers"];
    let found = places.iter().find_map(|p| fs::read_to_string(p).ok())?;
    Some(found.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn the_unified_tree_takes_what_its_controllers_know_and_refuses_the_rest_by_name() {
    let Some(world) = World::new() else { return };
    let Some(controllers) = unified_controllers() else {
        eprintln!("skipped: there is no version 2 tree of control groups");
        return;
    };
    let show = "cat /proc/self/cgroup; cd /sys/fs/cgroup; cat cgroup.type; for f in $SHOWN; do echo $f $(cat $f); done";
    let with = |id: &str, resources: Value, shown: &str| {
        world.bundle(id, &show.replace("$SHOWN", shown), |config| {
            config["linux"]["resources"] = resources;
        });
        on_unified(&world, id)
    };
    let plain = with("plain", json!({ "unified": { "cgroup.max.depth": "7" } }), "cgroup.max.depth");
    // Hierarchies that are mounted elsewhere are in the list, too.
    let seen = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(seen.ends_with("0::/\ndomain\ncgroup.max.depth 7\n"), "{}", text(&plain));

    // Each controller's field: its file holds the value, or, where the kernel keeps the controller elsewhere, it is named.
    let cases = [
        ("memory", json!({ "memory": { "limit": 67_108_864 } }), "memory.max", "67108864", "memory"),
        ("pids", json!({ "pids": { "limit": 55 } }), "pids.max", "55", "pids"),
        ("cpu", json!({ "cpu": { "quota": 50_000, "period": 100_000 } }), "cpu.max", "50000 100000", "cpu"),
        ("io", json!({ "blockIO": { "weight": 500 } }), "io.weight", "default 4950", "blockIO"),
        ("rdma", json!({ "rdma": { "none0": { "hcaHandles": 3 } } }), "rdma.max", "none0 hca_handle=3", "rdma"),
        (
            "hugetlb",
            json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }] }),
            "hugetlb.2MB.max",
            "4194304",
            "hugepage",
        ),
        ("hugetlb", json!({ "unified": { "hugetlb.2MB.max": "6291456" } }), "hugetlb.2MB.max", "6291456", "unified"),
    ];
    for (number, (controller, resources, file, value, field)) in cases.into_iter().enumerate() {
        let output = with(&format!("c{number}"), resources, file);
        let said = text(&output);
        let there = controllers.iter().any(|c| c == controller);
        // A device that does not exist, and weights where the scheduler has none, are refused by the kernel, by name, too.
        if there && !matches!(controller, "rdma" | "io") {
            assert!(said.contains(&format!("{file} {value}")), "{controller}: {said}");
        } else {
            assert!(
                !output.status.success() && (said.contains(field) || said.contains(controller)),
                "{controller}: {said}"
            );
        }
    }
}

#[test]
fn block_devices_are_limited_in_their_own_hierarchy() {
    let Some(world) = World::new() else { return };
    let top = Path::new("/sys/fs/cgroup/blkio");
    // A disk of the machine: numbers of the first that has a queue.
    let disks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let disk = disks.map(|d| d.path().join("dev")).filter_map(|p| fs::read_to_string(p).ok()).next();
    let (true, Some(disk)) = (top.join("blkio.throttle.read_bps_device").exists(), disk) else {
        eprintln!("skipped: needs the hierarchy of blkio and a disk");
        return;
    };
    let (major, minor) =
        disk.trim().split_once(':').map(|(a, b)| (a.parse::<i64>().unwrap(), b.parse::<i64>().unwrap())).unwrap();
    let rate = |n: u64| json!([{ "major": major, "minor": minor, "rate": n }]);
    world.bundle("slow", "sleep 1000", |config| {
        config["linux"]["resources"]["blockIO"] = json!({
            "throttleReadBpsDevice": rate(1_000_001), "throttleWriteBpsDevice": rate(1_000_002),
            "throttleReadIOPSDevice": rate(103), "throttleWriteIOPSDevice": rate(104),
        });
    });
    world.quietly(&["run", "--detach", "--bundle", world.path("slow").to_str().unwrap(), "slow"]);
    let group = top.join(format!("stockade-parts/{}-slow", std::process::id()));
    for (file, value) in
        [("read_bps", "1000001"), ("write_bps", "1000002"), ("read_iops", "103"), ("write_iops", "104")]
    {
        let text = fs::read_to_string(group.join(format!("blkio.throttle.{file}_device"))).unwrap();
        assert_eq!(text.trim(), format!("{major}:{minor} {value}"), "{file}");
    }
}

/// CRI-O's and Podman's contract is conmon's: it creates by the runtime, keeps the streams, and writes the exit code where
/// the engine looks for it.
fn conmon(world: &World, id: &str, more: &[&str]) -> Command {
    for dir in ["exits", "attach"] {
        fs::create_dir_all(world.path(dir)).unwrap();
    }
    let mut command = Command::new("conmon");
    command
        .args(["--cid", id, "--cuuid", id, "--name", id, "--runtime", env!("CARGO_BIN_EXE_stockade-oci")])
        .arg("--runtime-arg")
        .arg(format!("--root={}", world.path("state").display()))
        .args(["--runtime-arg", "--log-format=json", "--runtime-arg"])
        .arg(format!("--log={}", world.path("runtime.log").display()))
        .arg("--bundle")
        .arg(world.path(id))
        .arg("--container-pidfile")
        .arg(world.path(&format!("{id}.pid")))
        .arg("--exit-dir")
        .arg(world.path("exits"))
        .arg("--socket-dir-path")
        .arg(world.path("attach"))
        .arg("--log-path")
        .arg(format!("k8s-file:{}", world.path(&format!("{id}.log")).display()))
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn conmon_makes_containers_with_us() {
    let Some(world) = World::new() else { return };
    if Command::new("conmon").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: conmon is missing");
        return;
    }
    for (id, terminal) in [("pipes", false), ("terminal", true)] {
        world.bundle(id, "echo out; test -t 1 && echo terminal; exit 7", |config| {
            config["process"]["terminal"] = json!(terminal);
        });
        let mut monitor = conmon(&world, id, if terminal { &["--terminal"] } else { &[] }).spawn().unwrap();
        let pid_file = world.path(&format!("{id}.pid"));
        wait_for("the process's id", || fs::read_to_string(&pid_file).is_ok_and(|t| t.trim().parse::<i32>().is_ok()));
        wait_for("the container", || text(&world.runtime(&["state", id])).contains("\"created\""));
        assert_eq!(fs::read_to_string(&pid_file).unwrap().trim(), world.pid(id).to_string());
        assert!(world.runtime(&["start", id]).status.success());
        let exit = world.path("exits").join(id);
        wait_for("the exit code", || fs::read_to_string(&exit).is_ok_and(|t| t.trim() == "7"));
        monitor.wait().unwrap();
        let log = fs::read_to_string(world.path(&format!("{id}.log"))).unwrap();
        assert!(log.contains(" stdout F out"), "{log}");
        assert_eq!(log.contains("terminal"), terminal, "{log}");
        assert!(text(&world.runtime(&["state", id])).contains("\"stopped\""));
        // As CRI-O cleans up: nobody left to signal is no error, and neither is a second removal.
        assert!(world.runtime(&["kill", "--all", id, "KILL"]).status.success());
        assert!(world.runtime(&["delete", id]).status.success());
        assert!(world.runtime(&["delete", "--force", id]).status.success());
    }

    // What is wrong is in the runtime's log, by which the engine reports it.
    world.bundle("broken", "true", |config| config["process"]["args"] = json!(["/no/such/program"]));
    let _ = conmon(&world, "broken", &[]).status().unwrap();
    let log = world.path("runtime.log");
    wait_for("the error", || fs::read_to_string(&log).is_ok_and(|t| t.contains("no such file or directory")));
    let last = fs::read_to_string(&log).unwrap();
    let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
}
