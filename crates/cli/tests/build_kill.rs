//! `kill -9` at any moment of a build: the store stays whole, nothing is left behind, and the next build works.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use build_common::World;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use stockade_image::Store;

/// How often a build is killed.
const KILLS: u64 = 60;

const DOCKERFILE: &str = "FROM busybox:1 AS one\nCOPY a /a\nRUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/x bs=1024 count=256 && cat /a > /made\n\
    FROM busybox:1\nADD a.tar.gz /t/\nRUN seq 2000 > /numbers && mkdir /d && touch /d/1 /d/2\nCOPY --from=one /made /made\n\
    RUN --mount=type=secret,id=s rm /d/1 && echo done > /done\n";

/// xorshift; the seed is printed so that a failure can be looked at again.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn start(w: &World, number: u64) -> std::process::Child {
    use std::os::unix::process::CommandExt;
    w.file("a", format!("content {number}\n"));
    let mut command = w.command();
    command
        .args(["build", "-q", "--network=none", "-t", "killed", "--secret", "id=s,src=ctx/a", "ctx"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command.spawn().unwrap()
}

/// Processes whose command line or root mentions the world's directory.
fn processes_of(w: &World) -> Vec<String> {
    let needle = w.path("").display().to_string();
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        if pid == std::process::id() {
            continue;
        }
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        if line.contains(&needle) || environment.contains(&needle) {
            out.push(format!("{pid}: {line}"));
        }
    }
    out
}

fn eventually(what: &str, check: impl Fn() -> Option<String>) {
    let end = Instant::now() + Duration::from_secs(60);
    let mut last = check();
    while last.is_some() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        last = check();
    }
    assert!(last.is_none(), "{what}: {last:?}");
}

#[test]
fn a_killed_build_leaves_a_whole_store_and_nothing_else() {
    let Some(w) = World::new() else { return };
    w.file("Dockerfile", DOCKERFILE);
    w.file("x/y", "archive");
    let tar =
        Command::new("tar").arg("-C").arg(w.path("ctx/x")).arg("-czf").arg(w.path("ctx/a.tar.gz")).arg("y").status();
    assert!(tar.unwrap().success());
    fs::write(w.path("ctx/.dockerignore"), "x\n").unwrap();
    // How long one takes here and now.
    let begin = Instant::now();
    assert!(start(&w, 0).wait().unwrap().success());
    let whole = begin.elapsed();
    let seed = u64::from(std::process::id()) * 0x9e37_79b9 + u64::try_from(whole.as_nanos()).unwrap() % 1_000_003 + 1;
    eprintln!("seed {seed}, one build takes {whole:?}");
    let mut state = seed;
    let mut finished = 0;
    for number in 1..=KILLS {
        let mut child = start(&w, number);
        let micros = next(&mut state) % u64::try_from(whole.as_micros()).unwrap().max(1000);
        std::thread::sleep(Duration::from_micros(micros));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        // Sometimes the process alone, as the kernel's OOM killer does; sometimes all that it started.
        let killed =
            if number % 2 == 0 { kill_process(pid, Signal::KILL) } else { kill_process_group(pid, Signal::KILL) };
        finished += u64::from(killed.is_err());
        let _ = child.wait();
        if number % 10 == 0 {
            let damages = Store::open(&w.root()).unwrap().verify().unwrap();
            assert!(damages.is_empty(), "after kill {number} (seed {seed}): {damages:?}");
        }
    }
    eprintln!("{finished} of {KILLS} builds were over before they were killed");
    // What was killed alone takes its steps along.
    eventually("no process stays", || processes_of(&w).first().cloned());
    let mut last = start(&w, KILLS + 1);
    assert!(last.wait().unwrap().success(), "the next build works (seed {seed})");
    let made = w.run(&["run", "--rm", "--network=none", "killed", "cat", "/made", "/done", "/t/y"]).ok();
    assert_eq!(made.out, format!("content {}\ndone\narchive", KILLS + 1));
    let store = Store::open(&w.root()).unwrap();
    assert!(store.verify().unwrap().is_empty());
    drop(store);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&w.path("").display().to_string()), "no mount stays");
    let empty = |dir: &Path| fs::read_dir(dir).map_or(0, |d| d.count());
    // The next builds swept what the dead ones left.
    assert_eq!(empty(&w.root().join("tmp")), 0, "no unfinished file stays");
    assert_eq!(empty(&w.path("run/build-secrets")), 0, "no secret stays");
}
