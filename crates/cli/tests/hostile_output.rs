//! What a container says neither drives the terminal of whoever looks, nor fills the disk; and what it is called cannot either.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::process::Command;

use common::{IMAGE, World};

/// Runs a command on a terminal of its own and gives what that terminal was sent.
fn on_terminal(world: &World, args: &[&str]) -> String {
    let inner = world.command(args);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
    let line: Vec<String> = [inner.get_program()].into_iter().chain(inner.get_args()).map(quoted).collect();
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line.join(" "), "/dev/null"]).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let out = command.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn what_was_written_does_not_drive_the_terminal_of_who_reads_the_log() {
    let Some(world) = World::new() else { return };
    let script = r"printf '\033[32mgreen\033[0m\033]0;owned\007\033[2J\033[6n\n'; printf '\033Pq\n' >&2";
    let id = world.sk(&["create", "--network", "none", IMAGE, "sh", "-c", script]).ok();
    world.sk(&["start", &id]).ok();
    world.sk(&["wait", &id]).ok();
    let seen = on_terminal(&world, &["logs", &id]);
    assert!(seen.contains("\x1b[32mgreen\x1b[0m"), "colours stay: {seen:?}");
    assert!(seen.contains("\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{1b}[6n") && seen.contains("\\u{1b}Pq"), "{seen:?}");
    // Where it is wanted, and where no terminal reads, the bytes are those that were written.
    assert!(on_terminal(&world, &["logs", "--raw", &id]).contains("\x1b]0;owned\x07"));
    assert!(world.sk(&["logs", &id]).ok().contains("\x1b]0;owned\x07\x1b[2J"));
    world.sk(&["rm", &id]).ok();
}

#[test]
fn names_labels_and_commands_do_not_drive_the_terminal() {
    let Some(world) = World::new() else { return };
    let evil = "a\x1b]0;owned\x07\x1b[2J";
    for (option, value) in [("--name", evil), ("--hostname", evil), ("--network", evil), ("--label", evil)] {
        let ran = world.sk(&["create", option, value, IMAGE]);
        assert!(!ran.err.contains('\x1b'), "{option}: {:?}", ran.err);
        if option != "--label" {
            assert!(ran.code != 0, "{option} is taken");
        }
    }
    let label = format!("note={evil}");
    world.sk(&["create", "--name", "odd", "--label", &label, "-e", &label, IMAGE, "echo", evil]).ok();
    let label_change = format!("LABEL note={evil:?}").replace("\\u{1b}", "\x1b").replace("\\u{7}", "\x07");
    let committed = world.sk(&["commit", "-m", evil, "-c", &label_change, "odd", "odd:1"]);
    assert!(!committed.err.contains('\x1b'), "{:?}", committed.err);
    for args in [
        &["ps", "-a", "--no-trunc"][..],
        &["images"],
        &["history", "--no-trunc", "odd:1"],
        &["inspect", "odd"],
        &["image", "tree"],
        &["events", "--since", "1h", "--until", "0s"],
        &["explain", "odd"],
        &["system", "df", "-v"],
        &["rm", "no\x1b[2Jbody"],
        &["run", "no\x1b[2Jbody"],
        &["\x1b[2J"],
    ] {
        let seen = on_terminal(&world, args);
        assert!(!seen.contains("\x1b]0;") && !seen.contains("\x1b[2J"), "{args:?}: {seen:?}");
    }
    world.sk(&["rm", "-f", "odd"]).ok();
}

#[test]
fn a_flood_of_output_stays_within_its_bound() {
    let Some(world) = World::new() else { return };
    let flood = |size: &str| -> u64 {
        let size = format!("max-size={size}");
        let script =
            "i=0; while [ $i -lt 40 ]; do dd if=/dev/zero bs=64k count=4 2>/dev/null | tr '\\0' x; i=$((i+1)); done";
        let options = ["--log-opt", &size, "--log-opt", "max-file=2"];
        let id =
            world.sk(&[&["create", "--network", "none"][..], &options, &[IMAGE, "sh", "-c", script]].concat()).ok();
        world.sk(&["start", &id]).ok();
        world.sk(&["wait", &id]).ok();
        let files = std::fs::read_dir(world.root().join("containers").join(&id)).unwrap().flatten();
        let bytes =
            files.filter(|f| f.file_name().to_string_lossy().contains("log")).map(|f| f.metadata().unwrap().len());
        let bytes = bytes.sum();
        world.sk(&["rm", &id]).ok();
        bytes
    };
    // Ten megabytes of output: two files of one megabyte, or all of it where that is allowed.
    let bounded = flood("1m");
    assert!(bounded <= 2_400_000, "{bounded}");
    let allowed = flood("100m");
    assert!(allowed >= 10_000_000, "{allowed}");
}
