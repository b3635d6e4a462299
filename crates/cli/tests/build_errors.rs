//! What goes wrong in builds, and how it is told.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use build_common::World;

#[test]
fn every_mistake_in_the_file_is_shown_with_its_place() {
    let Some(w) = World::new() else { return };
    w.build("FROM busybox:1\nRUNN x\nCOPY --form=a b c\n", &[]).fails(
        1,
        &[
            "Dockerfile:2:1:",
            "unknown instruction `RUNN`",
            "did you mean `RUN`?",
            "Dockerfile:3:6:",
            "`--from`",
            "^^^^",
        ],
    );
    w.file("Dockerfile", "FROM x\nENV a\n");
    w.run(&["build", "--check", "ctx"]).fails(1, &["Dockerfile:2:5:"]);
    w.file("Dockerfile", "FROM x AS a\nCOPY --from=b / /\nFROM y AS b\nCOPY --from=a / /\n");
    w.run(&["build", "--check", "ctx"]).fails(1, &["circle"]);
    w.file("Dockerfile", "FROM x\nENV a=b\n");
    assert!(w.run(&["build", "--check", "ctx"]).ok().out.contains("no errors"));
    w.build("FROM busybox:1\n", &["--target", "nope"]).fails(2, &["`nope`"]);
    fs::remove_file(w.path("ctx/Dockerfile")).unwrap();
    w.run(&["build", "ctx"]).fails(1, &["no Dockerfile"]);
    w.run(&["build", "no-such-dir"]).fails(2, &["no-such-dir"]);
    w.build("FROM busybox:1\n", &["-t", "Bad Name"]).fails(2, &["Bad Name"]);
    w.build("FROM busybox:1\n", &["--push"]).fails(2, &["pushed under its names", "-t NAME"]);
    w.build("FROM busybox:1\n", &["--platform", "linux/s390x"]).fails(2, &["linux/s390x"]);
}

#[test]
fn a_missing_source_and_a_failing_step_name_their_line() {
    let Some(w) = World::new() else { return };
    w.file("index.html", "x");
    w.build("FROM busybox:1\nCOPY indx.html /\n", &[])
        .fails(1, &["Dockerfile:2:6:", "`indx.html` is not in the build context", "did you mean `index.html`?"]);
    w.build("FROM busybox:1\nCOPY --from=busybox:1 /nope /\n", &[]).fails(1, &["Dockerfile:2:", "/nope"]);
    w.build("FROM busybox:1\nCOPY --chown=ghost index.html /\n", &[]).fails(1, &["no user `ghost`"]);
    let ran = w.build("FROM busybox:1\nRUN echo before \\\n && exit 7\n", &["-t", "broken"]);
    let ran = ran.fails(1, &["Dockerfile:2", ">>> RUN echo before", "exit code 7", "before"]);
    assert!(!ran.out.contains("Successfully"));
    w.run(&["image", "inspect", "broken"]).fails(1, &["broken"]);
    w.build("FROM busybox:1\nRUN [\"/no/such/program\"]\n", &[]).fails(1, &["Dockerfile:2", "exit code 127"]);
}

#[test]
fn a_base_that_is_nowhere_names_what_was_tried_and_the_ways_out() {
    let Some(w) = World::new() else { return };
    w.build("FROM no/such:image\n", &[])
        .fails(1, &["Dockerfile:1:6", "no/such:image", "local store", "registry", "image import", "[base]"]);
    // An archive that does not answer.
    w.file("Dockerfile", "FROM debian:bookworm\n");
    let output =
        w.command().env("STOCKADE_DEBIAN_MIRROR", "http://127.0.0.1:9/debian").args(["build", "ctx"]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    for part in ["http://127.0.0.1:9/debian", "local store", "registry", "image import", "stockade.toml"] {
        assert!(err.contains(part), "{part} in {err}");
    }
    assert!(err.contains("from $STOCKADE_DEBIAN_MIRROR"), "{err}");
    w.build("FROM debian:bookworm\n", &["--mirror", "http://127.0.0.1:9/mine"]).fails(1, &["http://127.0.0.1:9/mine"]);
    w.build("FROM debian:potato\n", &[]).fails(1, &["debian:potato"]);
    // An alias beside the Dockerfile.
    w.file("stockade.toml", "[base]\nubuntu = \"busybox:1\"\n");
    w.build("FROM ubuntu\nRUN true\n", &["-t", "aliased"]).ok();
}

#[test]
fn weakening_flags_of_steps_are_refused_by_name() {
    let Some(w) = World::new() else { return };
    w.build("FROM busybox:1\nRUN --security=insecure true\n", &[]).fails(1, &["Dockerfile:2:", "insecure"]);
    w.build("FROM busybox:1\nADD ssh://git@127.0.0.1/b.git /\n", &[]).fails(1, &["Dockerfile:2:5", "https://"]);
    w.build("FROM busybox:1\nADD http://127.0.0.1:9/x /\n", &[]).fails(1, &["http://127.0.0.1:9/x"]);
    w.build("FROM busybox:1\nARG DB_PASSWORD=x\nENV API_TOKEN=y\n", &[]).ok();
    let ran = w.build("FROM busybox:1\nARG DB_PASSWORD=x\nENV API_TOKEN=y\n", &["--build-arg", "unused=1"]).ok();
    for part in ["Dockerfile:2:5: warning", "DB_PASSWORD", "API_TOKEN", "`unused`"] {
        assert!(ran.err.contains(part), "{part} in {}", ran.err);
    }
}

#[test]
fn two_builds_at_once_run_a_step_once() {
    let Some(w) = World::new() else { return };
    w.file("Dockerfile", "FROM busybox:1\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /id\n");
    let start = || {
        let mut command = w.command();
        command.args(["build", "-q", "--network=none", "ctx"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let (a, b) = (start(), start());
    let [a, b] = [a, b].map(|c| c.wait_with_output().unwrap());
    for o in [&a, &b] {
        assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    }
    assert_eq!(a.stdout, b.stdout, "the second took the result of the first");
}

#[test]
fn a_cancelled_build_leaves_nothing_running() {
    let Some(w) = World::new() else { return };
    w.file("Dockerfile", "FROM busybox:1\nRUN echo marker; sleep 4242\n");
    for signal in ["INT", "KILL"] {
        let mut child = w
            .command()
            .args(["build", "--network=none", "--progress=plain", "ctx"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sleeping = || {
            let out = Command::new("pgrep").args(["-f", "^sleep 4242"]).output().unwrap();
            !out.stdout.is_empty()
        };
        wait_until(sleeping);
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        let status = child.wait().unwrap();
        if signal == "INT" {
            assert_eq!(status.code(), Some(130));
        }
        wait_until(|| !sleeping());
    }
    w.build("FROM busybox:1\nRUN true\n", &[]).ok();
    let left: Vec<_> = fs::read_dir(w.root().join("tmp")).map(|d| d.flatten().collect()).unwrap_or_default();
    assert!(left.len() <= 1, "staging directories left: {left:?}");
}

fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("gave up waiting");
}

#[test]
fn a_full_disk_is_an_error_and_the_store_stays_whole() {
    let Some(w) = World::new() else { return };
    let small = w.path("root");
    let tar = w.path("base.tar");
    w.run(&["save", "-o", tar.to_str().unwrap(), "busybox:1"]).ok();
    fs::remove_dir_all(&small).unwrap();
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&small).status().unwrap();
    assert!(mounted.success());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        w.run(&["load", "-i", tar.to_str().unwrap()]).ok();
        w.file("big", vec![7u8; 40 << 20]);
        w.build("FROM busybox:1\nCOPY big /\n", &[]).fails(1, &["pace left"]);
        w.build("FROM busybox:1\nRUN dd if=/dev/zero of=/big bs=1048576 count=64\n", &[]).fails(1, &["pace left"]);
        fs::remove_file(w.path("ctx/big")).unwrap();
        w.build("FROM busybox:1\nRUN echo small > /s\n", &["-t", "fits"]).ok();
    }));
    let unmounted = Command::new("umount").arg(&small).status().unwrap();
    assert!(unmounted.success());
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}
