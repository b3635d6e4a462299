//! Limits, counters, pausing and killing on the machine's own cgroups.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use stockade_sandbox::cgroup::{Cgroup, list_under};
use stockade_sandbox::{Created, Limits, Running, create};
use support::{World, chain, output_of, pipes, run, skip};

fn started(world: &World, args: &[&str]) -> Running {
    let (stdio, _output) = pipes();
    create(&world.plan(args), Some(stdio)).and_then(Created::start).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

#[test]
fn a_fork_bomb_stops_at_the_limit() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "i=0; while [ $i -lt 50 ]; do sleep 5 & i=$((i+1)); done; echo survived"]);
    plan.cgroup.limits.pids = Some(10);
    let (status, text) = run(&plan).unwrap();
    assert!(status.code != 0 || !text.contains("survived"), "{text}");
    assert!(text.contains("fork"), "{text}");
}

#[test]
fn a_memory_bomb_is_killed_and_reported() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "exec tail -n 1 /dev/zero"]);
    plan.cgroup.limits.memory_bytes = Some(32 << 20);
    plan.cgroup.limits.memory_swap_bytes = Some(32 << 20);
    let (status, _) = run(&plan).unwrap();
    assert_eq!((status.code, status.signal, status.oom_killed), (137, Some(9), true));
    assert!(world.cgroup().stats().unwrap().oom_kills >= 1);
}

#[test]
fn counters_show_limits_and_use() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan = world.plan(&["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 100"]);
    plan.cgroup.limits = Limits {
        memory_bytes: Some(64 << 20),
        pids: Some(33),
        cpu_millis: Some(500),
        cpu_shares: Some(512),
        ..Limits::default()
    };
    let (stdio, _output) = pipes();
    let running = create(&plan, Some(stdio)).unwrap().start().unwrap();
    let cgroup = world.cgroup();
    // Until the loop's time is counted.
    while cgroup.stats().unwrap().cpu_ns == 0 || cgroup.stats().unwrap().memory_bytes == 0 {
        std::thread::yield_now();
    }
    let stats = cgroup.stats().unwrap();
    assert_eq!((stats.memory_limit_bytes, stats.pids_limit), (Some(64 << 20), Some(33)));
    assert!(stats.pids >= 1 && stats.memory_bytes < 64 << 20, "{stats:?}");
    cgroup.update(&Limits { memory_bytes: Some(128 << 20), pids: Some(44), ..Limits::default() }).unwrap();
    let stats = cgroup.stats().unwrap();
    assert_eq!((stats.memory_limit_bytes, stats.pids_limit), (Some(128 << 20), Some(44)));
    drop(running);
}

#[test]
fn pausing_stops_and_killing_ends_frozen_processes_too() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut running = started(&world, &["sh", "-c", "while :; do :; done"]);
    let cgroup = world.cgroup();
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen());
    let before = cgroup.stats().unwrap().cpu_ns;
    std::thread::sleep(std::time::Duration::from_millis(30));
    assert_eq!(cgroup.stats().unwrap().cpu_ns, before);
    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen());
    cgroup.freeze().unwrap();
    cgroup.kill().unwrap();
    assert_eq!(running.wait().unwrap().signal, Some(9));
    cgroup.remove().unwrap();
    cgroup.remove().unwrap();
    assert!(!cgroup.exists());
}

#[test]
fn leftovers_are_found_by_prefix() {
    if skip() {
        return;
    }
    let world = World::new();
    let running = started(&world, &["sleep", "100"]);
    let path = world.cgroup().path().to_owned();
    assert!(list_under("stockade-test").contains(&path), "{:?}", list_under("stockade-test"));
    assert!(list_under("stockade-test/none").is_empty());
    let cgroup = Cgroup::open(&path);
    cgroup.kill().unwrap();
    cgroup.remove().unwrap();
    assert!(!list_under("stockade-test").contains(&path));
    drop(running);
}

#[test]
fn a_removed_group_has_zeros_and_no_processes() {
    if skip() {
        return;
    }
    let gone = Cgroup::open("stockade-test/never-was");
    assert_eq!(gone.stats().unwrap(), stockade_sandbox::cgroup::Stats::default());
    assert!(gone.pids().unwrap().is_empty());
    gone.kill().unwrap();
    gone.remove().unwrap();
    assert_eq!(Cgroup::open("/../../etc").path(), "etc", "a path cannot leave the hierarchy");
}

#[test]
fn cpu_quota_is_enforced() {
    if skip() {
        return;
    }
    let world = World::new();
    let mut plan =
        world.plan(&["sh", "-c", "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null; true"]);
    plan.cgroup.limits.cpu_millis = Some(250);
    assert!(output_of(&plan).starts_with("25000"));
}
