//! `logs`: what was written, when, and following it.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use common::{IMAGE, World};

#[test]
fn both_streams_tail_and_time_stamps() {
    let Some(world) = World::new() else { return };
    let script = "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done; printf 'no line break'";
    world.sk(&["run", "--name", "c", "--network", "none", IMAGE, "sh", "-c", script]).ok();
    let ran = world.sk(&["logs", "c"]).fails_with(0);
    assert_eq!(ran.out, "out1\nout2\nout3\nout4\nout5\nno line break");
    assert_eq!(ran.err, "err1\nerr2\nerr3\nerr4\nerr5\n");
    let ran = world.sk(&["logs", "--tail", "1", "c"]).fails_with(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("no line break", ""));
    assert_eq!(world.sk(&["logs", "--tail", "0", "c"]).ok(), "");
    let stamped = world.sk(&["logs", "-t", "--tail", "1", "c"]).ok();
    let (time, text) = stamped.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.len() == 30, "{stamped}");
    assert_eq!(text, "no line break");
    assert_eq!(world.sk(&["logs", "--until", "2020-01-01T00:00:00Z", "c"]).ok(), "");
    assert_eq!(world.sk(&["logs", "--since", "2020-01-01T00:00:00Z", "c"]).ok().lines().count(), 6);
    world.sk(&["logs", "--since", "whenever", "c"]).fails_with(2);
}

#[test]
fn following_ends_with_the_container() {
    let Some(world) = World::new() else { return };
    let script = "for i in 1 2 3 4 5 6 7 8; do echo line$i; sleep 0.05; done";
    world.sk(&["run", "-d", "--name", "c", "--network", "none", IMAGE, "sh", "-c", script]).ok();
    let out = world.sk(&["logs", "-f", "c"]).ok();
    assert_eq!(out.lines().count(), 8, "{out}");
}

#[test]
fn the_log_is_turned_over_and_stays_small() {
    let Some(world) = World::new() else { return };
    let arguments = ["run", "--name", "c", "--network", "none", "--log-opt", "max-size=20k", "--log-opt", "max-file=2"];
    let ran = world.sk(&[&arguments[..], &[IMAGE, "seq", "5000"]].concat());
    assert_eq!(ran.ok().lines().count(), 5000);
    let log = std::path::PathBuf::from(world.field("c", "{{.LogPath}}"));
    let files: Vec<String> =
        common::names(log.parent().unwrap()).filter(|n| n == "log" || n.starts_with("log.")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(world.sk(&["logs", "c"]).ok().ends_with("5000"));
    assert_eq!(world.sk(&["logs", "--tail", "3", "c"]).ok(), "4998\n4999\n5000");
}

#[test]
fn no_log_is_kept_when_none_is_wanted() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "--name", "c", "--network", "none", "--log-driver", "none", IMAGE, "echo", "secret"]).ok();
    let ran = world.sk(&["logs", "c"]);
    assert_ne!(ran.code, 0);
    assert!(!ran.out.contains("secret"));
}
