//! Further processes and terminals in a running container.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use stockade_sandbox::{
    Capabilities, CapabilitySets, Created, IdMap, Plan, Process, Rlimit, Running, SandboxError, Target, caps, create,
    exec, process as processes, seccomp,
};
use support::{BASE_ID, World, chain, pipes, process, read_all, skip};

fn target(world: &World, pid: i32) -> Target {
    Target {
        pid,
        id_map: Some(IdMap::contiguous(BASE_ID, 65_536)),
        cgroup: world.cgroup().path().to_owned(),
        seccomp: Some(seccomp::standard()),
        landlock: true,
    }
}

fn started(plan: &Plan) -> Running {
    let (stdio, _output) = pipes();
    create(plan, Some(stdio)).and_then(Created::start).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

fn output(target: &Target, process: &Process) -> (i32, String) {
    let (stdio, read) = pipes();
    let mut running = exec(target, process, Some(stdio)).unwrap_or_else(|e| panic!("{}", chain(&e)));
    let text = read_all(read);
    (running.wait().unwrap().code, text)
}

#[test]
fn exec_joins_everything_and_is_confined_alike() {
    if skip() {
        return;
    }
    let world = World::new();
    let main = started(&world.plan(&["sleep", "100"]));
    let names = "user mnt pid net ipc uts cgroup time";
    let script = format!(
        "for n in {names}; do readlink /proc/self/ns/$n; done; cat /proc/1/comm; hostname; \
         grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp:)' /proc/self/status; ls /proc/self/fd | wc -l; pwd; exit 3"
    );
    let (code, text) = output(&target(&world, main.pid()), &process(&["sh", "-c", &script]));
    assert_eq!(code, 3);
    for (line, name) in text.lines().zip(names.split(' ')) {
        let of_main = std::fs::read_link(format!("/proc/{}/ns/{name}", main.pid())).unwrap();
        assert_eq!(line, of_main.display().to_string(), "{text}");
    }
    let standard = format!("{:016x}", caps::STANDARD.0);
    assert!(text.contains("\nsleep\nbox\n"), "{text}");
    assert!(
        text.contains(&format!("CapEff:\t{standard}\nCapBnd:\t{standard}\nNoNewPrivs:\t1\nSeccomp:\t2\n4\n/\n")),
        "{text}"
    );
}

#[test]
fn exec_is_counted_in_the_containers_cgroup() {
    if skip() {
        return;
    }
    let world = World::new();
    let main = started(&world.plan(&["sleep", "100"]));
    let (stdio, _output) = pipes();
    let second = exec(&target(&world, main.pid()), &process(&["sleep", "100"]), Some(stdio)).unwrap();
    let mut pids = world.cgroup().pids().unwrap();
    pids.sort_unstable();
    let mut expected = vec![main.pid(), second.pid()];
    expected.sort_unstable();
    assert_eq!(pids, expected);
    assert_eq!(world.cgroup().stats().unwrap().pids, 2);
    drop((main, second));
    world.cgroup().kill().unwrap();
}

#[test]
fn exec_sees_and_signals_the_containers_processes() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut main = started(&world.plan(&["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done"]));
    let target = target(&world, main.pid());
    let (_, text) = output(&target, &process(&["sh", "-c", "ps; cat /proc/1/environ"]));
    assert!(text.contains("trap") && text.contains("PATH=/bin"), "{text}");
    // Process 1 has no handler until its trap is set.
    for _ in 0..200 {
        if main.try_wait().unwrap().is_some() {
            break;
        }
        let (stdio, _output) = pipes();
        if let Ok(mut killer) = exec(&target, &process(&["kill", "-TERM", "1"]), Some(stdio)) {
            killer.wait().unwrap();
        }
    }
    assert_eq!(main.wait().unwrap().code, 4);
}

#[test]
fn exec_as_another_user_in_another_directory() {
    if skip() {
        return;
    }
    let world = World::new();
    let main = started(&world.plan(&["sleep", "100"]));
    let mut process = process(&["sh", "-c", "id -u; pwd; umask; grep CapEff /proc/self/status"]);
    process.uid = 1000;
    process.gid = 1000;
    process.cwd = "/home".to_owned();
    process.umask = Some(0o027);
    process.capabilities = CapabilitySets::for_user(Capabilities::NONE, 1000);
    let (code, text) = output(&target(&world, main.pid()), &process);
    assert_eq!((code, text.as_str()), (0, "1000\n/home\n0027\nCapEff:\t0000000000000000\n"));
}

#[test]
fn exec_of_a_missing_program_or_in_a_dead_container_is_clear() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut main = started(&world.plan(&["sleep", "100"]));
    let target = target(&world, main.pid());
    let (stdio, _output) = pipes();
    let missing = exec(&target, &process(&["nothing-here"]), Some(stdio)).unwrap_err();
    assert_eq!(missing.exit_code(), 127, "{}", chain(&missing));
    let mut elsewhere = process(&["true"]);
    elsewhere.cwd = "/no/such".to_owned();
    let (stdio, _output) = pipes();
    let error = exec(&target, &elsewhere, Some(stdio)).unwrap_err();
    assert!(error.to_string().contains("working directory"), "{}", chain(&error));
    processes::send_signal(main.pidfd(), 9).unwrap();
    main.wait().unwrap();
    let (stdio, _output) = pipes();
    let gone = exec(&target, &process(&["true"]), Some(stdio)).unwrap_err();
    assert!(matches!(gone, SandboxError::NotRunning { .. }), "{}", chain(&gone));
}

/// Reads a terminal until it shows `wanted`; what was read.
fn read_until(terminal: &mut std::fs::File, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0u8; 512];
    while !text.contains(wanted) {
        match terminal.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => text.push_str(&String::from_utf8_lossy(&buffer[..n])),
        }
    }
    text
}

fn file(fd: Option<OwnedFd>) -> std::fs::File {
    fd.unwrap().into()
}

#[test]
fn a_terminal_is_the_controlling_terminal_with_its_size() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&[
        "sh",
        "-c",
        "tty; stty size; ls -l /dev/console; echo x > /dev/console; test -t 0 && cat; echo done",
    ]);
    plan.process.terminal = Some((132, 43));
    let mut created = create(&plan, None).unwrap_or_else(|e| panic!("{}", chain(&e)));
    let mut terminal = file(created.take_terminal());
    assert!(created.take_terminal().is_none());
    let mut running = created.start().unwrap();
    let text = read_until(&mut terminal, "x\r\n");
    assert!(text.contains("/dev/pts/0\r\n43 132\r\n"), "{text:?}");
    assert!(text.contains("136,") && text.ends_with("x\r\n"), "console is the terminal: {text:?}");
    // End of input, typed: the line discipline works on the container's session.
    terminal.write_all(b"\x04").unwrap();
    assert!(read_until(&mut terminal, "done").contains("done"));
    assert_eq!(running.wait().unwrap().code, 0);
}

#[test]
fn interrupt_reaches_the_foreground_of_the_terminal() {
    if skip() {
        return;
    }
    let world = World::new();
    for init in [false, true] {
        let mut plan =
            world.plan(&["sh", "-c", "trap 'echo got-it; exit 6' INT; echo ready; while :; do sleep 0.05; done"]);
        plan.process.terminal = Some((80, 24));
        plan.init = init;
        let mut created = create(&plan, None).unwrap();
        let mut terminal = file(created.take_terminal());
        let mut running = created.start().unwrap();
        read_until(&mut terminal, "ready");
        terminal.write_all(b"\x03").unwrap();
        assert!(read_until(&mut terminal, "got-it").contains("got-it"));
        assert_eq!(running.wait().unwrap().code, 6);
        world.cgroup().remove().unwrap();
    }
}

#[test]
fn exec_with_a_terminal_of_the_container() {
    if skip() {
        return;
    }
    let world = World::new();
    let main = started(&world.plan(&["sleep", "100"]));
    let mut process = process(&["sh", "-c", "tty; stty size; id -u; echo > $(tty) && echo own"]);
    process.terminal = Some((100, 30));
    process.uid = 1000;
    process.capabilities = CapabilitySets::for_user(Capabilities::NONE, 1000);
    let mut running = exec(&target(&world, main.pid()), &process, None).unwrap_or_else(|e| panic!("{}", chain(&e)));
    let mut terminal = file(running.take_terminal());
    let text = read_until(&mut terminal, "own");
    assert!(text.starts_with("/dev/pts/0\r\n30 100\r\n1000\r\n") && text.contains("own"), "{text:?}");
    assert_eq!(running.wait().unwrap().code, 0);
}

#[test]
fn pipes_can_be_opened_again_by_an_ordinary_user() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr"]);
    plan.process.uid = 1000;
    plan.process.gid = 1000;
    plan.process.capabilities = CapabilitySets::for_user(Capabilities::NONE, 1000);
    assert_eq!(support::output_of(&plan), "out\nerr\n");
}

#[test]
fn limits_hold_before_the_program_runs() {
    if skip() {
        return;
    }
    let world = World::new();
    let main = started(&world.plan(&["sleep", "100"]));
    let mut process = process(&["sh", "-c", "ulimit -n; cat /proc/self/oom_score_adj"]);
    process.rlimits = vec![Rlimit { name: "nofile".to_owned(), soft: 77, hard: 77 }];
    process.oom_score_adj = Some(321);
    process.uid = 1000;
    process.capabilities = CapabilitySets::for_user(Capabilities::NONE, 1000);
    assert_eq!(output(&target(&world, main.pid()), &process), (0, "77\n321\n".to_owned()));
}

/// CVE-2024-21626, with `exec`.
#[test]
fn the_working_directory_cannot_be_a_descriptor_of_ours() {
    if skip() {
        return;
    }
    let world = World::new();
    let main = started(&world.plan(&["sleep", "100"]));
    let directory = std::fs::File::open("/").unwrap();
    for n in 3..40 {
        let mut process = process(&["ls", "-l", "."]);
        process.cwd = format!("/proc/self/fd/{n}");
        let (stdio, _output) = pipes();
        let error = exec(&target(&world, main.pid()), &process, Some(stdio)).unwrap_err();
        assert!(error.to_string().contains("working directory"), "{}", chain(&error));
    }
    drop(directory);
}
