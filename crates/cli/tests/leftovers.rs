//! A container's whole life leaves nothing behind, however it ends.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{IMAGE, World, eventually, signal};
use rustix::process::Signal;

/// Fifty lives of every kind; many of our processes are killed at moments that differ from run to run.
#[test]
fn fifty_lives_leave_the_machine_as_it_was() {
    let Some(world) = World::new() else { return };
    let before = machine(&world);
    let mut ids = Vec::new();
    for n in 0..50u32 {
        let name = format!("c{n}");
        match n % 5 {
            0 => drop(world.sk(&["run", "--rm", "--name", &name, IMAGE, "true"])),
            1 => drop(world.sk(&["run", "--name", &name, "-p", "127.0.0.1::80", IMAGE, "true"])),
            2 => {
                world.sk(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]).ok();
                signal(world.monitor(&name), Signal::KILL);
            }
            3 => {
                // Our process dies somewhere between its first and its last step.
                let mut command = world.command(&["run", "--rm", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
                let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(Duration::from_millis(u64::from(n * 3 % 40)));
                let _ = child.kill();
                child.wait().unwrap();
            }
            _ => {
                let mut command = world.command(&["run", "--name", &name, IMAGE, "sleep", "1000"]);
                let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(Duration::from_millis(u64::from(n * 7 % 60)));
                for pid in world.processes() {
                    signal(pid, Signal::KILL);
                }
                child.wait().unwrap();
            }
        }
        ids.extend(world.sk(&["ps", "-aq", "--no-trunc"]).out.lines().map(str::to_owned));
    }
    eventually("all containers are removed", || {
        for id in world.sk(&["ps", "-aq", "--no-trunc"]).out.lines() {
            world.sk(&["rm", "-f", "-v", id]);
        }
        world.sk(&["ps", "-aq"]).out.is_empty()
    });
    // Removal also collects what processes left that were killed before their container had a record. And a monitor
    // whose client was killed may have been slow to start.
    world.leaves_nothing_after(|| {
        world.sk(&["create", "--name", "broom", IMAGE]);
        for id in world.sk(&["ps", "-aq", "--no-trunc"]).out.lines() {
            world.sk(&["rm", "-f", "-v", id]);
        }
    });
    assert!(common::machine_traces(&ids).is_empty(), "{:?}", common::machine_traces(&ids));
    eventually("the kernel has taken its interfaces away", || machine(&world) == before);
}

/// Mounts, and network interfaces of this world: other tests run beside this one.
fn machine(world: &World) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = world.root().parent().unwrap().display().to_string();
    let mut all: Vec<String> = mounts.lines().filter(|l| l.contains(&ours)).map(str::to_owned).collect();
    let net = std::path::Path::new("/sys/class/net");
    all.extend(common::names(net).filter(|name| {
        let bridge = std::fs::read_link(net.join(name).join("master")).ok();
        name == world.bridge() || bridge.is_some_and(|b| b.ends_with(world.bridge()))
    }));
    all.sort();
    all
}

#[test]
fn anonymous_volumes_go_with_a_disposable_container() {
    let Some(world) = World::new() else { return };
    world.import("withvolume", &["VOLUME [\"/srv\"]", "CMD [\"cat\", \"/srv/page\"]"]);
    assert_eq!(world.sk(&["run", "--rm", "--network", "none", "withvolume"]).ok(), "from the image");
    world.leaves_nothing();
    world.sk(&["run", "--name", "c", "--network", "none", "withvolume"]).ok();
    assert_eq!(world.sk(&["volume", "ls", "-q"]).ok().lines().count(), 1);
    world.sk(&["rm", "-v", "c"]).ok();
    assert_eq!(world.sk(&["volume", "ls", "-q"]).ok(), "");
}
