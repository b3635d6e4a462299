//! `stockade audit --fix` and `--undo` through the binary: shown, applied, repeated, undone, and killed at any moment.
#![allow(clippy::unwrap_used)] // a test may panic

mod file_common;

use std::process::Stdio;
use std::time::Duration;

use file_common::{run, stockade, text};

const WEAK: &str = "# a stack\nservices:\n  web: # front\n    image: nginx:1.27\n    privileged: true\n    pid: host\n    cap_add: [NET_ADMIN, SYS_ADMIN]\n";

const FIX: [&str; 6] = ["audit", "compose", "c.yaml", "--fix", "compose-privileged,compose-host-pid,CIS-5.4", "--yes"];

#[test]
fn a_compose_file_is_fixed_once_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, WEAK).unwrap();
    // Without a terminal and without --yes nothing is done.
    let asked = run(dir.path(), &FIX[..5]);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), WEAK);
    let fixed = run(dir.path(), &FIX);
    let shown = text(&fixed.stdout);
    assert!(shown.contains("-    privileged: true"), "{shown}{}", text(&fixed.stderr));
    let new = std::fs::read_to_string(&file).unwrap();
    assert_eq!(new, "# a stack\nservices:\n  web: # front\n    image: nginx:1.27\n    cap_drop: [ALL]\n");
    let again = run(dir.path(), &FIX);
    assert!(again.status.success() && text(&again.stderr).contains("nothing is changed"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), new);
    let undone = run(dir.path(), &["audit", "--undo"]);
    assert!(undone.status.success(), "{}", text(&undone.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), WEAK);
}

#[test]
fn a_kill_leaves_the_old_or_the_new_file_and_undo_brings_the_old_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, WEAK).unwrap();
    run(dir.path(), &FIX);
    let new = std::fs::read_to_string(&file).unwrap();
    assert_ne!(new, WEAK);
    for round in 0..40u64 {
        std::fs::write(&file, WEAK).unwrap();
        let mut child = stockade(dir.path(), &FIX).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 500));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = std::fs::read_to_string(&file).unwrap();
        assert!(now == WEAK || now == new, "round {round}: {now}");
        if now == new {
            let undone = run(dir.path(), &["audit", "--undo"]);
            assert!(undone.status.success(), "round {round}: {}", text(&undone.stderr));
            assert_eq!(std::fs::read_to_string(&file).unwrap(), WEAK, "round {round}");
        }
    }
}

#[test]
fn every_format_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.yaml"), WEAK).unwrap();
    for (format, beginning) in [
        ("table", "c.yaml: web"),
        ("json", "{\n  \"schema\": \"stockade.audit/v1\""),
        ("sarif", "{\n  \"$schema\""),
        ("junit", "<?xml"),
        ("html", "<!doctype html>"),
        ("markdown", "# Audit"),
    ] {
        let out = run(dir.path(), &["audit", "compose", "c.yaml", "--format", format]);
        assert_eq!(out.status.code(), Some(3), "{format}: {}", text(&out.stderr));
        assert!(text(&out.stdout).starts_with(beginning), "{format}: {}", text(&out.stdout));
    }
}

#[test]
fn root_names_a_host_image_where_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    std::fs::create_dir_all(host.join("etc/docker")).unwrap();
    std::fs::write(host.join("etc/os-release"), "PRETTY_NAME=\"Some Linux 7\"\n").unwrap();
    std::fs::write(host.join("etc/docker/daemon.json"), "{\"icc\": true}\n").unwrap();
    let ask = |flag: &str| text(&run(dir.path(), &["audit", "host", flag, "host", "--all", "--format", "json"]).stdout);
    let by_root = ask("--root");
    assert!(by_root.contains("Some Linux 7"), "{by_root}");
    assert_eq!(by_root, ask("--host-root"));
    // Elsewhere it is the place of our own state, as with every verb.
    let own = text(&run(dir.path(), &["audit", "stockade", "--root", "state", "--all", "--format", "json"]).stdout);
    assert!(own.contains("stockade-root-open"), "{own}");
    assert!(!host.join("audit").exists());
}
