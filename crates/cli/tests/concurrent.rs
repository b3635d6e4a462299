//! Many at once, and two on the same container.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::process::{Child, Stdio};

use common::{IMAGE, World};

fn spawn(world: &World, arguments: &[&str]) -> Child {
    world.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(children: Vec<Child>) -> Vec<common::Ran> {
    children.into_iter().map(|c| c.wait_with_output().unwrap().into()).collect()
}

#[test]
fn twenty_containers_at_once() {
    let Some(world) = World::new() else { return };
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let started = names.iter().map(|n| spawn(&world, &["run", "-d", "--name", n, IMAGE, "sleep", "1000"])).collect();
    for ran in finish(started) {
        ran.ok();
    }
    assert_eq!(world.sk(&["ps", "-q"]).ok().lines().count(), 20);
    let ips: std::collections::BTreeSet<String> =
        names.iter().map(|n| world.field(n, "{{.NetworkSettings.IPAddress}}")).collect();
    assert_eq!(ips.len(), 20, "every container has an address of its own: {ips:?}");
    let ranges: std::collections::BTreeSet<String> =
        names.iter().map(|n| world.field(n, "{{.Stockade.UserNamespace.HostFirst}}")).collect();
    assert_eq!(ranges.len(), 20, "every container has users of its own: {ranges:?}");
    for ran in finish(names.iter().map(|n| spawn(&world, &["rm", "-f", n])).collect()) {
        ran.ok();
    }
    world.leaves_nothing();
}

#[test]
fn twenty_disposable_runs_at_once() {
    let Some(world) = World::new() else { return };
    let runs = (0..20)
        .map(|n| {
            spawn(&world, &["run", "--rm", "--network", "none", IMAGE, "sh", "-c", &format!("echo {n}; exit {n}")])
        })
        .collect();
    for (n, ran) in finish(runs).into_iter().enumerate() {
        assert_eq!((ran.code, ran.out), (i32::try_from(n).unwrap(), format!("{n}\n")), "{}", ran.err);
    }
    world.leaves_nothing();
}

#[test]
fn one_of_many_gets_the_name() {
    let Some(world) = World::new() else { return };
    let runs = (0..8).map(|_| spawn(&world, &["create", "--name", "only", IMAGE])).collect();
    let won = finish(runs).into_iter().filter(|r| r.code == 0).count();
    assert_eq!(won, 1);
    assert_eq!(world.sk(&["ps", "-aq"]).ok().lines().count(), 1);
    world.sk(&["rm", "only"]).ok();
    world.leaves_nothing();
}

#[test]
fn starts_stops_and_removals_of_one_container_do_not_tear_it() {
    let Some(world) = World::new() else { return };
    world.sk(&["create", "--name", "c", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    let verbs: Vec<Vec<&str>> = vec![
        vec!["start", "c"],
        vec!["start", "c"],
        vec!["stop", "-t", "0", "c"],
        vec!["restart", "-t", "0", "c"],
        vec!["kill", "c"],
        vec!["start", "c"],
        vec!["stop", "-t", "0", "c"],
    ];
    for _ in 0..3 {
        finish(verbs.iter().map(|v| spawn(&world, v)).collect());
        let status = world.field("c", "{{.State.Status}}");
        assert!(["running", "exited"].contains(&status.as_str()), "{status}");
    }
    let mut last: Vec<Child> = vec![spawn(&world, &["start", "c"]), spawn(&world, &["rm", "-f", "c"])];
    last.push(spawn(&world, &["rm", "-f", "c"]));
    finish(last);
    world.sk(&["rm", "-f", "c"]);
    world.leaves_nothing();
}

#[test]
fn an_image_in_use_is_not_removed() {
    let Some(world) = World::new() else { return };
    world.sk(&["create", "--name", "c", IMAGE]).ok();
    let store = stockade_image::Store::open(&world.root()).unwrap();
    assert!(store.remove(IMAGE, false).is_err());
    world.sk(&["rm", "c"]).ok();
    store.remove(IMAGE, false).unwrap();
}
