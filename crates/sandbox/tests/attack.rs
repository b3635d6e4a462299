//! What a hostile image or process tries, and that it fails. Each with a neighbour that still works.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::symlink;

use stockade_sandbox::{
    CapabilitySets, Mount, MountFlags, MountKind, Plan, SandboxError, SeccompAction, SeccompPolicy, caps, seccomp,
};
use support::{World, chain, output_of, run, script, skip};

fn replace_by_link(world: &World, name: &str, to: &str) {
    let path = world.lower().join(name);
    if path.is_dir() {
        std::fs::remove_dir(&path).unwrap();
    }
    symlink(to, path).unwrap();
}

fn tmpfs(target: &str) -> Mount {
    Mount {
        kind: MountKind::Tmpfs { size_bytes: Some(1 << 20), mode: 0o755 },
        target: target.to_owned(),
        flags: MountFlags::default(),
    }
}

fn bind(source: &std::path::Path, target: &str) -> Mount {
    Mount {
        kind: MountKind::Bind { source: source.to_owned(), recursive: false, idmapped: false },
        target: target.to_owned(),
        flags: MountFlags::default(),
    }
}

/// CVE-2019-16884, CVE-2025-31133: /proc, /sys or /dev of the image is a link, so that masks and nodes land elsewhere.
#[test]
fn kernel_file_systems_are_not_mounted_through_links() {
    if skip() {
        return;
    }
    for (name, to) in [("proc", "/etc"), ("sys", "../../../../etc"), ("dev", "/tmp")] {
        let world = World::new();
        replace_by_link(&world, name, to);
        let error = run(&world.plan(&["true"])).unwrap_err();
        assert!(matches!(&error, SandboxError::Target { target, .. } if target[1..] == *name), "{}", chain(&error));
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert!(!world.cgroup().exists());
    }
}

/// CVE-2021-30465: a volume's target is a link out of the root.
#[test]
fn mount_targets_are_resolved_inside_the_root() {
    if skip() {
        return;
    }
    let world = World::new();
    let outside = world.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "").unwrap();
    symlink(&outside, world.lower().join("absolute")).unwrap();
    symlink("../../../../../../../../../../tmp", world.lower().join("relative")).unwrap();
    std::fs::create_dir(world.path("volume")).unwrap();
    std::fs::write(world.path("volume/here"), "").unwrap();
    let mut plan = world.plan(&["sh", "-c", "ls /tmp/in /relative/in"]);
    plan.mounts.push(bind(&world.path("volume"), "/relative/in"));
    assert_eq!(output_of(&plan).matches("here").count(), 2, "a link inside the root is followed inside");
    let mut plan = world.plan(&["sh", "-c", "true"]);
    plan.mounts.push(tmpfs("/absolute/in"));
    let _ = run(&plan);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "nothing is made outside");
}

/// A volume that holds a link, with a second mount below it.
#[test]
fn links_inside_a_volume_stay_inside_the_container() {
    if skip() {
        return;
    }
    let world = World::new();
    let (volume, outside) = (world.path("volume"), world.path("outside"));
    std::fs::create_dir(&volume).unwrap();
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, volume.join("link")).unwrap();
    let mut plan = world.plan(&["true"]);
    plan.mounts.push(bind(&volume, "/data"));
    plan.mounts.push(tmpfs("/data/link/sub"));
    let _ = run(&plan);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let mut plan = world.plan(&["true"]);
    plan.mounts.push(tmpfs("/data/../../../../../../../../../../escape"));
    assert_eq!(run(&plan).unwrap().0.code, 0);
    assert!(!std::path::Path::new("/escape").exists());
}

/// A masked path of the user's own that is a link.
#[test]
fn masks_do_not_follow_links() {
    if skip() {
        return;
    }
    let world = World::new();
    std::fs::write(world.lower().join("etc/real"), "content").unwrap();
    symlink("real", world.lower().join("etc/link")).unwrap();
    let mut plan = world.plan(&["cat", "/etc/real"]);
    plan.masked_paths.push("/etc/link".to_owned());
    assert!(matches!(run(&plan), Err(SandboxError::Target { .. })));
    plan.masked_paths.pop();
    plan.masked_paths.push("/etc/real".to_owned());
    assert_eq!(output_of(&plan), "");
}

/// CVE-2024-21626: a working directory that is a descriptor of the runtime.
#[test]
fn the_working_directory_cannot_be_a_leaked_descriptor() {
    if skip() {
        return;
    }
    let world = World::new();
    for n in 0..64 {
        let mut plan = world.plan(&["sh", "-c", "pwd; ls ../../../.. 2>/dev/null"]);
        plan.process.cwd = format!("/proc/self/fd/{n}");
        match run(&plan) {
            Err(_) => {}
            Ok((_, text)) => panic!("{n}: {text}"),
        }
        if n > 20 && n % 8 != 0 {
            continue;
        }
    }
}

/// CVE-2019-5736: overwriting the runtime's own program through /proc/PID/exe while it is in the container.
#[test]
fn the_runtimes_program_is_out_of_reach() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "readlink /proc/1/exe; cat /proc/1/maps | head -n 1; cat /proc/1/environ"]);
    // init is our own program, running as process 1.
    plan.init = true;
    let (_, text) = run(&plan).unwrap();
    assert!(!text.contains("attack-") && text.matches("denied").count() >= 2, "{text}");
    plan = compat_with_init(&world);
    let (_, text) = run(&plan).unwrap();
    assert!(
        !text.contains("attack-") && text.contains("denied"),
        "also for the host's root without CAP_SYS_PTRACE: {text}"
    );
}

fn compat_with_init(world: &World) -> Plan {
    let mut plan = world.compat_plan(&["sh", "-c", "cat /proc/1/exe > /dev/null; cat /proc/1/maps"]);
    plan.init = true;
    plan
}

/// CVE-2022-0492 and its kind: new namespaces with new powers.
#[test]
fn new_namespaces_cannot_be_made() {
    if skip() {
        return;
    }
    let world = World::new();
    let text = script(
        &world,
        "for f in -U -m -n -p -u -i; do unshare $f true && echo made; done; unshare -Ur sh -c 'mount -t tmpfs x /tmp' && echo made; true",
    );
    assert!(!text.contains("made"), "{text}");
    assert!(script(&world, "(echo thread) | cat").contains("thread"));
}

/// Raw devices.
#[test]
fn device_nodes_cannot_be_made_and_those_of_the_image_do_not_work() {
    if skip() {
        return;
    }
    let world = World::new();
    let node = world.lower().join("disk");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &node,
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    let text = script(
        &world,
        "mknod /n b 254 0 && echo made; mknod /dev/n c 1 1 && echo made; cat /disk && echo opened; mknod /fifo p && echo fifo",
    );
    assert!(!text.contains("made") && !text.contains("opened") && text.contains("fifo"), "{text}");
}

/// Set-user-id files of the image.
#[test]
fn set_user_id_files_give_nothing() {
    if skip() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    std::fs::copy("/bin/busybox", world.lower().join("bin/id-suid")).unwrap();
    std::fs::set_permissions(world.lower().join("bin/id-suid"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    let mut plan = world.plan(&["id-suid", "id"]);
    plan.process.args = vec!["/bin/id-suid".to_owned()];
    plan.process.args = ["sh", "-c", "cp /bin/id-suid /tmp/x; exec /bin/id-suid sh -c 'grep ^Uid /proc/self/status'"]
        .map(str::to_owned)
        .to_vec();
    plan.process.uid = 1000;
    plan.process.capabilities = CapabilitySets::for_user(caps::STANDARD, 1000);
    let (_, text) = run(&plan).unwrap();
    assert!(!text.contains("Uid:\t1000\t0"), "{text}");
}

/// Kernel settings and the host's processes.
#[test]
fn kernel_settings_and_foreign_processes_are_out_of_reach() {
    if skip() {
        return;
    }
    let world = World::new();
    let host = std::process::id();
    let text = script(
        &world,
        &format!(
            "for f in kernel/core_pattern kernel/modprobe vm/drop_caches; do cat /proc/sys/$f > /proc/sys/$f && echo written; done; echo b > /proc/sysrq-trigger && echo written; kill -0 {host} && echo signalled; ls /proc/{host} && echo seen; true"
        ),
    );
    for bad in ["written", "signalled", "seen"] {
        assert!(!text.contains(bad), "{text}");
    }
}

/// What `hidepid` hides: processes of other users, from ordinary users.
#[test]
fn other_users_processes_are_invisible() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "ls /proc | grep -c '^1$'"]);
    plan.process.uid = 1000;
    plan.process.gid = 1000;
    plan.process.capabilities = CapabilitySets::for_user(caps::STANDARD, 1000);
    // As process 1 it sees itself; with init as process 1, of the same user but hidden memory, it does not.
    plan.init = true;
    let (_, text) = run(&plan).unwrap();
    assert_eq!(text, "0\n");
}

/// The filter is in force on the real kernel: the same calls that the interpreter says are refused.
#[test]
fn the_real_kernel_obeys_the_compiled_filter() {
    if skip() {
        return;
    }
    let world = World::new();
    let with = |rules: Vec<(&str, SeccompAction)>| {
        let mut plan = world.plan(&["sh", "-c", "hostname; mkdir /x || true; sync; echo end"]);
        let mut policy = seccomp::standard();
        for (call, action) in rules {
            policy.rules.insert(
                0,
                stockade_sandbox::SeccompRule { calls: vec![call.to_owned()], action, arguments: Vec::new() },
            );
        }
        plan.seccomp = Some(policy);
        run(&plan).unwrap()
    };
    let (_, text) = with(vec![("mkdir", SeccompAction::Errno(122))]);
    assert!(text.contains("quota") && text.ends_with("end\n"), "{text}");
    let (status, _) = with(vec![("uname", SeccompAction::KillProcess)]);
    assert_ne!(status.code, 0);
    let plan = Plan {
        seccomp: Some(SeccompPolicy {
            name: "deny".to_owned(),
            default_action: SeccompAction::Allow,
            rules: vec![stockade_sandbox::SeccompRule {
                calls: vec!["execve".to_owned()],
                action: SeccompAction::Errno(13),
                arguments: Vec::new(),
            }],
            extra: stockade_sandbox::SeccompExtra::default(),
        }),
        ..world.plan(&["true"])
    };
    let error = run(&plan).unwrap_err();
    assert!(error.is_not_executable(), "the filter is there before the exec: {}", chain(&error));
}

/// Every level's filter lets an ordinary program live.
#[test]
fn ordinary_programs_run_under_every_policy() {
    if skip() {
        return;
    }
    let world = World::new();
    for policy in [seccomp::standard(), seccomp::compat(), seccomp::strict(), seccomp::build_step(caps::BUILD)] {
        let name = policy.name.clone();
        let mut plan = world.plan(&[
            "sh",
            "-c",
            "ls / > /dev/null; echo a | cat; sleep 0; date > /dev/null; ls -l /bin | wc -l > /dev/null; echo ok",
        ]);
        plan.seccomp = Some(policy);
        let (status, text) = run(&plan).unwrap();
        assert_eq!((status.code, text.as_str()), (0, "a\nok\n"), "{name}");
    }
}

/// strict: only processes in /proc.
#[test]
fn strict_mounts_show_no_kernel() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "ls /proc/cpuinfo /proc/sys /proc/self/status"]);
    plan.mounts = stockade_sandbox::defaults::mounts(stockade_sandbox::defaults::Level::Strict);
    let (_, text) = run(&plan).unwrap();
    assert_eq!(text.matches("No such file").count(), 2, "{text}");
}
