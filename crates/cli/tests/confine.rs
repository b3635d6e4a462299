//! Confinement levels: what is refused, what is allowed beside it, and what is said and recorded.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use common::{IMAGE, World};

#[test]
fn standard_has_its_own_users_no_new_rights_and_limits() {
    let Some(world) = World::new() else { return };
    let run = |script: &str| world.sk(&["run", "--rm", "--network", "none", IMAGE, "sh", "-c", script]);
    let map = run("cat /proc/self/uid_map").ok();
    let fields: Vec<&str> = map.split_whitespace().collect();
    assert_eq!((fields[0], fields[2]), ("0", "65536"));
    assert_ne!(fields[1], "0", "root inside is not root on the host");
    let status = run("cat /proc/self/status").ok();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    // The forbidden thing, and the allowed neighbour.
    assert_ne!(run("unshare -U true").code, 0);
    assert_ne!(run("mount -t tmpfs none /tmp").code, 0);
    assert_ne!(run("mknod /tmp/sda b 8 0").code, 0);
    assert_eq!(run("touch /tmp/f && chown 33:33 /tmp/f && stat -c %u:%g /tmp/f").ok(), "33:33");
    assert_eq!(run("su user -c 'id -u'").ok(), "1000");
    world.sk(&["create", "--name", "c", IMAGE]).ok();
    assert_eq!(world.field("c", "{{.Stockade.Confinement}} {{.Stockade.Weakened}}"), "standard []");
    assert_eq!(world.field("c", "{{.Stockade.Limits.Pids}}"), "1024");
}

#[test]
fn two_containers_share_no_user() {
    let Some(world) = World::new() else { return };
    let id = |name: &str| {
        world.sk(&["run", "-d", "--name", name, "--network", "none", IMAGE, "sleep", "1000"]).ok();
        let pid = world.field(name, "{{.State.Pid}}");
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}")).unwrap())
    };
    let (a, b) = (id("a"), id("b"));
    assert!(a >= 0x0010_0000 && b >= 0x0010_0000 && a.abs_diff(b) >= 65_536, "{a} {b}");
}

#[test]
fn strict_is_read_only_without_a_network_and_wants_limits() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "--rm", "--confine", "strict", IMAGE, "true"]).fails_with(2);
    let strict = ["run", "--rm", "--confine", "strict", "--memory", "64m", "--pids-limit", "20", IMAGE, "sh", "-c"];
    let run = |script: &str| world.sk(&[&strict[..], &[script]].concat());
    assert_eq!(run("echo works > /tmp/f && cat /tmp/f").ok(), "works");
    assert_ne!(run("touch /srv/f").code, 0);
    assert_eq!(run("ls /sys/class/net").ok(), "lo");
    assert!(run("cat /proc/self/status").ok().contains("CapBnd:\t0000000000000000"));
}

#[test]
fn compat_is_dockers_default() {
    let Some(world) = World::new() else { return };
    let ran = world
        .sk(&["run", "--rm", "--network", "none", "--confine", "compat", IMAGE, "cat", "/proc/self/status"])
        .fails_with(0);
    assert!(ran.out.contains("CapEff:\t00000000a80425fb") && ran.out.contains("NoNewPrivs:\t0"), "{}", ran.out);
    assert!(ran.err.contains("root on the host"), "{}", ran.err);
}

#[test]
fn what_weakens_works_is_said_and_is_recorded() {
    let Some(world) = World::new() else { return };
    let cases: [(&[&str], &str, &str); 5] = [
        (&["--cap-add", "NET_ADMIN"], "--cap-add NET_ADMIN", "ip link add dummy0 type dummy; ls -d /sys/class/net/lo"),
        (&["--pid", "host"], "--pid host", "test $$ -gt 1"),
        (&["-v", "/:/host:ro"], "mount of /", "test -e /host/proc"),
        (&["--security-opt", "seccomp=unconfined"], "seccomp=unconfined", "grep -q 'Seccomp:.0' /proc/self/status"),
        (&["--privileged"], "--privileged", "mount -t tmpfs none /tmp"),
    ];
    for (options, words, script) in cases {
        let arguments = [&["run", "--name", "c", "--network", "none"], options, &[IMAGE, "sh", "-c", script]].concat();
        let ran = world.sk(&arguments).fails_with(0);
        assert!(ran.err.contains(words), "{options:?}: {}", ran.err);
        assert!(world.field("c", "{{json .Stockade.Weakened}}").contains(words));
        world.sk(&["rm", "c"]).ok();
    }
}

#[test]
fn limits_hold_and_can_be_changed() {
    let Some(world) = World::new() else { return };
    let arguments =
        ["run", "-d", "--name", "c", "--network", "none", "-m", "64m", "--pids-limit", "30", "--cpus", "0.5"];
    world.sk(&[&arguments[..], &[IMAGE, "sleep", "1000"]].concat()).ok();
    assert_eq!(
        world.field("c", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}"),
        "67108864 30 500000000"
    );
    let bomb = "i=0; while [ $i -lt 60 ]; do sleep 100 >/dev/null 2>&1 & i=$((i+1)); done; echo all";
    let ran = world.sk(&["exec", "c", "sh", "-c", bomb]);
    assert!(!ran.out.contains("all"), "sixty processes fit into a limit of thirty: {}", ran.out);
    world.sk(&["update", "--memory", "128m", "--pids-limit", "200", "c"]).ok();
    assert_eq!(world.field("c", "{{.HostConfig.Memory}}"), "134217728");
    let stats = world.sk(&["stats", "--no-stream", "--format", "{{.MemUsage}}", "c"]).ok();
    assert!(stats.contains("128MiB"), "{stats}");
}

#[test]
fn too_much_memory_ends_it_and_is_told() {
    let Some(world) = World::new() else { return };
    // tail keeps what has no line break in memory.
    let script = "head -c 200m /dev/zero | tail -c 190m > /dev/null";
    let ran = world.sk(&[
        "run",
        "--name",
        "c",
        "--network",
        "none",
        "-m",
        "32m",
        "--memory-swap",
        "32m",
        IMAGE,
        "sh",
        "-c",
        script,
    ]);
    assert_ne!(ran.code, 0);
    assert_eq!(world.field("c", "{{.State.OOMKilled}}"), "true");
}

#[test]
fn a_monitor_is_small() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "-d", "--name", "c", IMAGE, "sh", "-c", "seq 20000; exec sleep 1000"]).ok();
    common::eventually("all is written", || world.sk(&["logs", "--tail", "1", "c"]).out == "20000\n");
    let monitor = world.monitor("c");
    let resident_kb = || {
        let status = std::fs::read_to_string(format!("/proc/{monitor}/status")).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    // A debug build's code is twice as large and lies scattered.
    let limit_kb = if cfg!(debug_assertions) { 3072 } else { 2048 };
    common::eventually("it has given back what it does not need", || resident_kb() <= limit_kb);
    let status = std::fs::read_to_string(format!("/proc/{monitor}/status")).unwrap();
    assert!(status.contains("Threads:\t1"));
}

#[test]
fn other_runtimes_are_refused_by_name() {
    let Some(world) = World::new() else { return };
    for flag in ["--runtime", "--isolation"] {
        let refused = world.sk(&["run", "--rm", flag, "vm", IMAGE, "true"]);
        assert_ne!(refused.code, 0);
        assert!(refused.err.contains("--confine strict"), "{}", refused.err);
    }
    world
        .sk(&["run", "--rm", "--network", "none", "--runtime", "stockade", "--isolation", "default", IMAGE, "true"])
        .ok();
}
