//! Life of a container on the real kernel.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::MetadataExt;

use stockade_sandbox::{
    CapabilitySets, IdRange, Mount, MountFlags, MountKind, Namespace, Rlimit, Root, SandboxError, caps, create,
};
use support::{BASE_ID, World, chain, output_of, pipes, run, script, skip};

#[test]
fn a_program_runs_and_its_exit_code_comes_back() {
    if skip() {
        return;
    }
    let world = World::new();
    let (status, text) = run(&world.plan(&["sh", "-c", "echo hello; exit 7"])).unwrap();
    assert_eq!((status.code, status.signal, status.oom_killed, text.as_str()), (7, None, false, "hello\n"));
}

#[test]
fn a_signal_from_outside_is_128_and_its_number() {
    if skip() {
        return;
    }
    let world = World::new();
    let (stdio, _output) = pipes();
    let mut running = create(&world.plan(&["sleep", "100"]), Some(stdio)).unwrap().start().unwrap();
    assert_eq!(running.try_wait().unwrap(), None);
    assert!(stockade_sandbox::process::send_signal(running.pidfd(), 9).unwrap());
    let status = running.wait().unwrap();
    assert_eq!((status.code, status.signal), (137, Some(9)));
    assert_eq!(running.try_wait().unwrap(), Some(status), "may be asked again");
    assert!(!stockade_sandbox::process::send_signal(running.pidfd(), 9).unwrap());
}

#[test]
fn ids_are_zero_inside_on_disk_and_the_hosts_range_outside() {
    if skip() {
        return;
    }
    let world = World::new();
    let text =
        script(&world, "id -u; stat -c %u:%g /bin/busybox; echo x > /made; chown 7:8 /made; stat -c %u:%g /made");
    assert_eq!(text, "0\n0:0\n7:8\n");
    let facts = std::fs::metadata(world.path("upper/made")).unwrap();
    assert_eq!((facts.uid(), facts.gid()), (7, 8), "container ids on disk");
    let (stdio, _output) = pipes();
    let running = create(&world.plan(&["sleep", "100"]), Some(stdio)).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/uid_map", running.pid())).unwrap();
    assert!(status.contains(&BASE_ID.to_string()), "{status}");
}

#[test]
fn capabilities_and_flags_are_those_of_the_plan() {
    if skip() {
        return;
    }
    let world = World::new();
    let text = script(&world, "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    let standard = format!("{:016x}", caps::STANDARD.0);
    assert_eq!(field("CapEff:"), standard);
    assert_eq!(field("CapPrm:"), standard);
    assert_eq!(field("CapBnd:"), standard);
    assert_eq!(field("CapInh:"), "0000000000000000");
    assert_eq!(field("CapAmb:"), "0000000000000000");
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
}

#[test]
fn an_ordinary_user_has_its_groups_and_no_capabilities() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "id; grep -E '^CapEff' /proc/self/status; touch /etc/x || echo refused"]);
    plan.process.uid = 1000;
    plan.process.gid = 1000;
    plan.process.groups = vec![1001];
    plan.process.capabilities = CapabilitySets::for_user(caps::STANDARD, 1000);
    let text = output_of(&plan);
    assert!(
        text.contains("uid=1000(user) gid=1000(user) groups=1000(user),1001(extra)")
            || text.contains("groups=1001(extra)"),
        "{text}"
    );
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
    assert!(text.contains("refused"), "{text}");
}

#[test]
fn nothing_but_the_standard_streams_is_open_inside() {
    if skip() {
        return;
    }
    let world = World::new();
    let leak = std::fs::File::open("/etc/passwd").unwrap();
    // A descriptor that a careless caller left open for its children.
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let text = script(&world, "exec ls -l /proc/self/fd");
    drop(leak);
    let open: Vec<&str> = text.lines().filter_map(|l| l.split(" -> ").nth(1)).collect();
    // ls itself has the directory open while it reads it; the link is gone when it is shown.
    assert_eq!(open.len(), 3, "{text}");
    assert!(!text.contains("passwd") && !text.contains("socket"), "{text}");
}

#[test]
fn namespaces_are_all_new() {
    if skip() {
        return;
    }
    let world = World::new();
    let text = script(
        &world,
        "for n in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; done; hostname; echo $$",
    );
    let host: Vec<String> = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"]
        .iter()
        .map(|n| std::fs::read_link(format!("/proc/self/ns/{n}")).unwrap().display().to_string())
        .collect();
    for (inside, outside) in text.lines().zip(&host) {
        assert_ne!(inside, outside);
    }
    assert!(text.ends_with("box\n1\n"), "{text}");
}

#[test]
fn the_cgroup_is_the_root_of_its_own_view() {
    if skip() {
        return;
    }
    let world = World::new();
    let text = script(&world, "cat /proc/self/cgroup");
    for line in text.lines().filter(|l| l.contains(":memory:") || l.contains(":pids:") || l.starts_with("0::")) {
        assert!(line.ends_with(":/"), "{text}");
    }
    let view = script(
        &world,
        "ls /sys/fs/cgroup; find /sys/fs/cgroup -name pids.max -exec cat {} \\; 2>/dev/null; touch /sys/fs/cgroup/x || echo ro",
    );
    assert!(view.contains("ro"), "{view}");
}

#[test]
fn missing_and_broken_programs_are_told_apart() {
    if skip() {
        return;
    }
    let world = World::new();
    std::fs::write(world.lower().join("bin/text"), "no program").unwrap();
    let start = |args: &[&str]| {
        let (stdio, _output) = pipes();
        create(&world.plan(args), Some(stdio)).unwrap().start().unwrap_err()
    };
    let missing = start(&["no-such-program"]);
    assert!(missing.is_not_found() && missing.exit_code() == 127, "{}", chain(&missing));
    assert!(missing.to_string().contains("no-such-program"));
    assert_eq!(start(&["/no/such/path"]).exit_code(), 127);
    let denied = start(&["text"]);
    assert!(denied.is_not_executable() && denied.exit_code() == 126, "{}", chain(&denied));
    assert_eq!(start(&["/etc"]).exit_code(), 126);
    assert!(!world.cgroup().exists(), "the cgroup of a failed start is removed");
}

#[test]
fn standard_mounts_are_what_they_should_be() {
    if skip() {
        return;
    }
    let world = World::new();
    let text = script(&world, "cat /proc/mounts");
    let options = |target: &str| {
        let line =
            text.lines().rfind(|l| l.split(' ').nth(1) == Some(target)).unwrap_or_else(|| panic!("{target}: {text}"));
        line.split(' ').nth(3).unwrap().to_owned()
    };
    assert!(options("/").contains("nosuid,nodev"), "{text}");
    assert!(options("/proc").contains("hidepid="), "{text}");
    assert!(options("/sys").starts_with("ro,nosuid,nodev,noexec"), "{text}");
    assert!(options("/proc/sys").starts_with("ro,"), "{text}");
    assert!(options("/dev").contains("nosuid,noexec"), "{text}");
    assert!(options("/dev/shm").contains("nosuid,nodev,noexec"), "{text}");
    assert!(text.contains(" /sys/firmware tmpfs ro"), "{text}");
    let seen = script(
        &world,
        "cat /proc/timer_list | wc -c; ls -A /sys/firmware | wc -l; echo x > /dev/null; echo 1 > /proc/sys/kernel/hostname || echo ro",
    );
    assert!(seen.starts_with("0\n0\n"), "{seen}");
    assert!(seen.ends_with("ro\n"), "{seen}");
}

#[test]
fn the_host_sees_no_mount_of_the_container() {
    if skip() {
        return;
    }
    let world = World::new();
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (stdio, _output) = pipes();
    let created = create(&world.plan(&["sleep", "100"]), Some(stdio)).unwrap();
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    let inside = std::fs::read_to_string(format!("/proc/{}/mounts", created.pid())).unwrap();
    assert!(inside.contains("overlay / overlay"), "{inside}");
    assert!(!inside.contains("ext4"), "nothing of the host is mounted inside: {inside}");
}

#[test]
fn a_root_inside_has_no_power_over_mounts_or_namespaces() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "mount -t tmpfs none /tmp; umount /proc/timer_list; umount /proc; mount -o remount,rw /proc/sys; cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern && echo writable; true"]);
    // Even with every capability in its own user namespace and no filter: the mount namespace is not the container's.
    plan.process.capabilities = CapabilitySets::for_user(caps::ALL, 0);
    plan.seccomp = None;
    plan.landlock = false;
    let text = output_of(&plan);
    assert!(!text.contains("writable"), "{text}");
    assert_eq!(text.matches("denied").count() + text.matches("not permitted").count(), 4, "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
}

#[test]
fn a_readonly_root_takes_no_writes_but_tmpfs_does() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "touch /x || echo ro; echo y > /tmp/y && cat /tmp/y; stat -c %a /tmp"]);
    if let Root::Overlay { readonly, .. } = &mut plan.root {
        *readonly = true;
    }
    plan.mounts.push(Mount {
        kind: MountKind::Tmpfs { size_bytes: Some(1 << 20), mode: 0o1777 },
        target: "/tmp".to_owned(),
        flags: MountFlags { nosuid: true, nodev: true, noexec: true, ..MountFlags::default() },
    });
    let text = output_of(&plan);
    assert!(text.ends_with("ro\ny\n1777\n"), "{text}");
}

#[test]
fn binds_appear_with_their_flags_and_ids() {
    if skip() {
        return;
    }
    let world = World::new();
    let volume = world.path("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("f"), "content").unwrap();
    std::fs::write(world.path("single"), "single").unwrap();
    let mut plan = world.plan(&["sh", "-c", "cat /data/deep/f /etc/single; stat -c %u /data/deep/f; touch /data/deep/new && echo rw; touch /etc/single || echo ro"]);
    let bind = |source: std::path::PathBuf, target: &str, readonly| Mount {
        kind: MountKind::Bind { source, recursive: true, idmapped: true },
        target: target.to_owned(),
        flags: MountFlags { readonly, nosuid: true, nodev: true, ..MountFlags::default() },
    };
    plan.mounts.push(bind(volume.clone(), "/data/deep", false));
    plan.mounts.push(bind(world.path("single"), "/etc/single", true));
    let text = output_of(&plan);
    assert!(text.starts_with("contentsingle0\nrw\n") && text.ends_with("ro\n"), "{text}");
    assert_eq!(
        std::fs::metadata(volume.join("new")).unwrap().uid(),
        0,
        "container root is the host's 0 on an idmapped volume"
    );
}

#[test]
fn a_missing_bind_source_names_itself() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["true"]);
    plan.mounts.push(Mount {
        kind: MountKind::Bind { source: "/no/such/dir".into(), recursive: false, idmapped: false },
        target: "/x".to_owned(),
        flags: MountFlags::default(),
    });
    let error = run(&plan).unwrap_err();
    assert!(error.to_string().contains("/no/such/dir") && error.exit_code() == 125, "{}", chain(&error));
    assert!(!world.cgroup().exists());
}

#[test]
fn many_layers_are_joined() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut lower: Vec<_> = (0..119).map(|n| world.path(&format!("layers/{n}/fs"))).collect();
    for (n, layer) in lower.iter().enumerate() {
        std::fs::create_dir_all(layer).unwrap();
        std::fs::write(layer.join("which"), format!("{n}\n")).unwrap();
        std::fs::write(layer.join(format!("only-{n}")), "").unwrap();
    }
    lower.push(world.lower());
    let mut plan = world.plan(&["sh", "-c", "cat /which; ls / | grep -c only-"]);
    if let Root::Overlay { lower: layers, .. } = &mut plan.root {
        *layers = lower;
    }
    assert_eq!(output_of(&plan), "0\n119\n");
}

#[test]
fn a_directory_root_is_mapped_too() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "touch /made; stat -c %u /made /bin/busybox"]);
    plan.root = Root::Dir { path: world.lower(), readonly: false };
    assert_eq!(output_of(&plan), "0\n0\n");
    assert_eq!(std::fs::metadata(world.lower().join("made")).unwrap().uid(), 0);
}

#[test]
fn compat_runs_as_the_hosts_root_with_dockers_capabilities() {
    if skip() {
        return;
    }
    let world = World::new();
    let text = output_of(&world.compat_plan(&["sh", "-c", "grep -E '^(CapEff|NoNewPrivs|Seccomp:)' /proc/self/status; cat /proc/self/uid_map; mknod /n b 7 0; echo > /n || echo no-device"]));
    assert!(
        text.contains("00000000a80425fb") && text.contains("NoNewPrivs:\t0") && text.contains("Seccomp:\t2"),
        "{text}"
    );
    assert!(text.contains("4294967295"), "{text}");
    assert!(text.contains("no-device"), "{text}");
}

#[test]
fn low_ports_and_sysctls_work_without_capabilities() {
    if skip() {
        return;
    }
    let world = World::new();
    assert_eq!(script(&world, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "0\n");
    let mut plan = world.plan(&["true"]);
    plan.sysctls.push(("kernel.core_pattern".to_owned(), "|/bin/evil".to_owned()));
    assert!(matches!(run(&plan), Err(SandboxError::Sysctl { .. })));
}

#[test]
fn limits_of_resources_are_set_or_refused_clearly() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "ulimit -n; ulimit -Hn"]);
    plan.process.rlimits = vec![Rlimit { name: "nofile".to_owned(), soft: 100, hard: 200 }];
    assert_eq!(output_of(&plan), "100\n200\n");
    plan.process.rlimits = vec![Rlimit { name: "nofiles".to_owned(), soft: 1, hard: 1 }];
    assert!(matches!(run(&plan), Err(SandboxError::InvalidPlan { .. })));
    let mut plan = world.plan(&["cat", "/proc/self/oom_score_adj"]);
    plan.process.oom_score_adj = Some(500);
    assert_eq!(output_of(&plan), "500\n");
}

#[test]
fn the_working_directory_is_made_and_the_umask_set() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "pwd; umask"]);
    plan.process.cwd = "/srv/app".to_owned();
    plan.process.umask = Some(0o077);
    assert_eq!(output_of(&plan), "/srv/app\n0077\n");
    assert!(world.path("upper/srv/app").is_dir());
}

#[test]
fn init_reaps_orphans_and_passes_signals_on() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan =
        world.plan(&["sh", "-c", "echo $$; (sleep 0.01 &) ; trap 'exit 9' TERM; while :; do sleep 0.02; done"]);
    plan.init = true;
    let (stdio, output) = pipes();
    let mut running = create(&plan, Some(stdio)).unwrap().start().unwrap();
    let mut first = [0u8; 2];
    std::io::Read::read_exact(&mut std::fs::File::from(output.try_clone().unwrap()), &mut first).unwrap();
    assert_eq!(&first, b"2\n", "process 1 is init");
    // The trap is set soon after; a signal before it ends the shell with 143.
    while running.try_wait().unwrap().is_none() {
        let _ = stockade_sandbox::process::send_signal(running.pidfd(), 15);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!([9, 143].contains(&running.wait().unwrap().code));
    drop(output);
    plan.process.args = ["sh", "-c", "exit 5"].map(str::to_owned).to_vec();
    assert_eq!(run(&plan).unwrap().0.code, 5);
}

#[test]
fn namespaces_can_be_shared() {
    if skip() {
        return;
    }
    let world = World::new();
    let (stdio, _output) = pipes();
    let first = create(&world.plan(&["sleep", "100"]), Some(stdio)).unwrap();
    let second = World::new();
    let mut plan = second.plan(&[
        "sh",
        "-c",
        "for n in net ipc user pid; do readlink /proc/self/ns/$n; done; ls -d /proc/1 /sys/class/net/lo",
    ]);
    let ns = |name: &str| format!("/proc/{}/ns/{name}", first.pid());
    plan.namespaces.net = Namespace::Join(ns("net").into());
    plan.namespaces.ipc = Namespace::Join(ns("ipc").into());
    plan.namespaces.pid = Namespace::Join(ns("pid").into());
    plan.namespaces.user = Namespace::Join(ns("user").into());
    let text = output_of(&plan);
    for (line, name) in text.lines().zip(["net", "ipc", "user", "pid"]) {
        assert_eq!(line, std::fs::read_link(ns(name)).unwrap().display().to_string(), "{text}");
    }
    let mut plan = second.plan(&["readlink", "/proc/self/ns/net"]);
    plan.namespaces.net = Namespace::Host;
    plan.sysctls.clear();
    assert_eq!(output_of(&plan).trim_end(), std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string());
}

#[test]
fn contradicting_plans_are_refused() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&[]);
    assert!(matches!(run(&plan), Err(SandboxError::InvalidPlan { .. })));
    plan.process.args = vec!["true".to_owned()];
    plan.id_map = None;
    assert!(run(&plan).unwrap_err().to_string().contains("id map"));
    let mut plan = world.plan(&["true"]);
    plan.process.terminal = Some((80, 24));
    assert!(run(&plan).unwrap_err().to_string().contains("terminal"));
    let mut plan = world.plan(&["true"]);
    plan.id_map.as_mut().unwrap().uid = vec![IdRange { inside: 1, outside: 5000, count: 1 }];
    assert!(run(&plan).unwrap_err().to_string().contains("user and group 0"));
}

#[test]
fn an_abandoned_container_leaves_nothing() {
    if skip() {
        return;
    }
    let world = World::new();
    let (stdio, _output) = pipes();
    let created = create(&world.plan(&["sleep", "100"]), Some(stdio)).unwrap();
    let pid = created.pid();
    assert!(world.cgroup().exists());
    drop(created);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!world.cgroup().exists());
}

#[test]
fn twenty_containers_at_once() {
    if skip() {
        return;
    }
    let worlds: Vec<World> = (0..20).map(|_| World::new()).collect();
    std::thread::scope(|scope| {
        let runs: Vec<_> = worlds
            .iter()
            .map(|world| scope.spawn(move || output_of(&world.plan(&["sh", "-c", "echo $$; hostname"]))))
            .collect();
        for run in runs {
            assert_eq!(run.join().unwrap(), "1\nbox\n");
        }
    });
}

#[test]
fn further_devices_are_there_and_only_they() {
    if skip() {
        return;
    }
    let world = World::new();
    if !std::path::Path::new("/dev/fuse").exists() || !std::path::Path::new("/dev/net/tun").exists() {
        eprintln!("skipped: needs /dev/fuse and /dev/net/tun");
        return;
    }
    let device = |target: &str| stockade_sandbox::Device {
        source: "/dev/fuse".into(),
        target: target.to_owned(),
        access: "rw".to_owned(),
    };
    let script = "for f in /dev/fuse /dev/sub/fuse /srv/fuse; do (: < $f) && echo open; done; \
                  mknod /tun c 10 200; (: < /tun) || echo no; ls -l /dev/fuse /srv/fuse";
    let mut plan = world.compat_plan(&["sh", "-c", script]);
    plan.devices = vec![device("/dev/fuse"), device("/dev/sub/fuse"), device("/srv/fuse")];
    let text = output_of(&plan);
    assert_eq!(text.matches("open\n").count(), 3, "{text}");
    assert!(text.contains("no\n"), "tun was not given: {text}");
    assert_eq!(text.matches("10, 229").count(), 2, "{text}");
    let mut plan = world.plan(&["sh", "-c", "for f in /dev/fuse /srv/fuse; do (: < $f) && echo open; done"]);
    plan.devices = vec![device("/dev/fuse"), device("/srv/fuse")];
    assert_eq!(output_of(&plan), "open\nopen\n");
    plan.devices = vec![stockade_sandbox::Device { source: "/etc/passwd".into(), ..device("/dev/x") }];
    assert!(matches!(run(&plan), Err(SandboxError::Target { .. })));
}

/// A Landlock domain with file-system rules forbids renames between directories unless they are allowed: package managers
/// would break.
#[test]
fn files_move_between_directories_under_landlock() {
    if skip() {
        return;
    }
    let world = World::new();
    let plan = world.plan(&[
        "sh",
        "-c",
        "mkdir /tmp/a /tmp/b && touch /tmp/a/f && ln /tmp/a/f /tmp/b/l && busybox mv /tmp/a /tmp/b/ && ls /tmp/b",
    ]);
    assert!(plan.landlock);
    assert_eq!(output_of(&plan), "a\nl\n");
}
