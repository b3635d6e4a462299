//! `exec`: another process in a running container.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use common::{IMAGE, World};

#[test]
fn exec_is_inside_and_as_confined_as_the_container() {
    let Some(world) = World::new() else { return };
    world
        .sk(&["run", "-d", "--name", "c", "--network", "none", "-e", "A=1", "-h", "inside", IMAGE, "sleep", "1000"])
        .ok();
    assert_eq!(world.sk(&["exec", "c", "hostname"]).ok(), "inside");
    world.sk(&["exec", "c", "sh", "-c", "exit 3"]).fails_with(3);
    world.sk(&["exec", "c", "no-such-program"]).fails_with(127);
    world.sk(&["exec", "c", "/etc/passwd"]).fails_with(126);
    let out =
        world.sk(&["exec", "-e", "B=2", "-w", "/srv", "-u", "user", "c", "sh", "-c", "echo $A $B; pwd; id -u"]).ok();
    assert_eq!(out, "1 2\n/srv\n1000");
    let status = |arguments: &[&str]| {
        let text = world.sk(&[arguments, &["cat", "/proc/self/status"]].concat()).ok();
        let keep = ["CapEff", "CapBnd", "NoNewPrivs", "Seccomp:"];
        text.lines().filter(|l| keep.iter().any(|k| l.starts_with(k))).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = world.sk(&["exec", "c", "cat", "/proc/1/status"]).ok();
    let own = status(&["exec", "c"]);
    assert!(own.iter().all(|line| first.contains(line)), "{own:?}\n{first}");
    assert!(world.sk(&["exec", "c", "ps"]).ok().contains("sleep 1000"));
}

#[test]
fn input_reaches_it_and_detached_ones_run_on() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "-d", "--name", "c", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    assert_eq!(world.sk_with_input(&["exec", "-i", "c", "wc", "-c"], &vec![b'x'; 100_000]).ok(), "100000");
    assert_eq!(world.sk_with_input(&["exec", "c", "wc", "-c"], b"not passed on").ok(), "0");
    world.sk(&["exec", "-d", "c", "sh", "-c", "echo late > /tmp/late"]).ok();
    common::eventually("the detached process wrote", || world.sk(&["exec", "c", "cat", "/tmp/late"]).out == "late\n");
}

#[test]
fn exec_needs_a_running_container() {
    let Some(world) = World::new() else { return };
    world.sk(&["create", "--name", "c", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    let ran = world.sk(&["exec", "c", "true"]).fails_with(1);
    assert!(ran.err.contains("start it first"), "{}", ran.err);
}

#[test]
fn what_exec_started_ends_with_the_container() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "-d", "--name", "c", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    let mut child = world.command(&["exec", "c", "sleep", "1000"]).spawn().unwrap();
    common::eventually("it runs", || world.sk(&["top", "c"]).ok().matches("sleep 1000").count() == 2);
    world.sk(&["kill", "c"]).ok();
    assert_eq!(child.wait().unwrap().code(), Some(137));
}
