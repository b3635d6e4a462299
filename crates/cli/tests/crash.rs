//! `kill -9` of our own processes, and what the next command finds.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::process::Stdio;

use common::{IMAGE, World, eventually, signal};
use rustix::process::Signal;

#[test]
fn a_killed_monitor_is_noticed_and_cleaned_up() {
    let Some(world) = World::new() else { return };
    let id = world.sk(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]).ok();
    let pid: i32 = world.field("c", "{{.State.Pid}}").parse().unwrap();
    signal(world.monitor("c"), Signal::KILL);
    eventually("it is seen as ended", || {
        world.field("c", "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}") == "exited 137 false"
    });
    assert!(world.field("c", "{{.State.Error}}").contains("monitor"));
    assert!(world.sk(&["ps", "-a"]).ok().contains("Exited (137)"));
    eventually("its process is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(common::machine_traces(&[id]).is_empty());
    // It can be started again, or removed.
    world.sk(&["start", "c"]).ok();
    assert_eq!(world.sk(&["exec", "c", "echo", "again"]).ok(), "again");
    signal(world.monitor("c"), Signal::KILL);
    world.sk(&["rm", "-f", "c"]).ok();
    world.leaves_nothing();
}

#[test]
fn a_killed_monitor_of_a_disposable_container_leaves_nothing() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "-d", "--rm", "--name", "c", IMAGE, "sleep", "1000"]).ok();
    signal(world.monitor("c"), Signal::KILL);
    eventually("it is gone", || world.sk(&["ps", "-aq"]).ok().is_empty());
    eventually("nothing is left", || world.traces().is_empty());
}

#[test]
fn the_container_outlives_its_client() {
    let Some(world) = World::new() else { return };
    let mut client = world
        .command(&["run", "--name", "c", "--network", "none", IMAGE, "sleep", "1000"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it runs", || world.sk(&["ps", "-q", "--filter", "name=c"]).out.len() > 1);
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(world.sk(&["exec", "c", "echo", "alive"]).ok(), "alive");
    world.sk(&["rm", "-f", "c"]).ok();
}

#[test]
fn a_client_passes_signals_on_and_ends_with_the_container() {
    let Some(world) = World::new() else { return };
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut client = world
        .command(&["run", "--name", "c", "--network", "none", IMAGE, "sh", "-c", script])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the trap is set", || world.sk(&["logs", "c"]).out.contains("ready"));
    signal(i32::try_from(client.id()).unwrap(), Signal::TERM);
    assert_eq!(client.wait().unwrap().code(), Some(9));
}

#[test]
fn after_a_reboot_everything_has_ended_and_can_be_removed() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "-d", "--name", "c", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    // A reboot: no process, and nothing of the volatile directory.
    let monitor = world.monitor("c");
    let pid: i32 = world.field("c", "{{.State.Pid}}").parse().unwrap();
    signal(monitor, Signal::KILL);
    signal(pid, Signal::KILL);
    eventually("both are gone", || !std::path::Path::new(&format!("/proc/{monitor}")).exists());
    std::fs::remove_dir_all(world.run_dir()).unwrap();
    assert_eq!(world.field("c", "{{.State.Status}}"), "exited");
    assert_eq!(world.sk(&["ps", "-q"]).ok(), "");
    world.sk(&["start", "c"]).ok();
    world.sk(&["rm", "-f", "c"]).ok();
    world.leaves_nothing();
}

#[test]
fn damaged_and_half_made_records_do_not_block_the_rest() {
    let Some(world) = World::new() else { return };
    let good = world.sk(&["create", "--name", "good", IMAGE]).ok();
    let bad = world.sk(&["create", "--name", "bad", IMAGE]).ok();
    let dir = world.root().join("containers").join(&bad);
    std::fs::write(dir.join("config.json"), b"{ half").unwrap();
    let half = "f".repeat(64);
    std::fs::create_dir(world.root().join("containers").join(&half)).unwrap();
    let ran = world.sk(&["ps", "-a"]).fails_with(0);
    assert!(ran.out.contains("good") && ran.err.contains(&bad[..12]), "{ran:?}");
    world.sk(&["rm", "bad"]).fails_with(1);
    world.sk(&["rm", "-f", "bad"]).ok();
    assert!(!dir.exists());
    world.sk(&["rm", &good]).ok();
    assert!(!world.root().join("containers").join(&half).exists(), "rm collects what a crash left");
    world.leaves_nothing();
}
