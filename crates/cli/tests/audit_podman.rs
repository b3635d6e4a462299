//! `stockade audit podman` on a real `podman system service`: a weak and a hardened container, asked over podman's API.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod file_common;
mod podman_common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use file_common::{run, text};
use podman_common::Podman;
use serde_json::Value;

/// Ids of the checks with this result on this container.
fn of(report: &Value, container: &str, result: &str) -> BTreeSet<String> {
    let subject = format!("podman: container {container}");
    let checks = report["checks"].as_array().unwrap().iter();
    let wanted = checks.filter(|c| c["subject"] == subject.as_str() && c["result"] == result);
    wanted.map(|c| c["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_weak_and_a_hardened_container_of_podman_are_told_apart() {
    let Some(podman) = Podman::new() else { return };
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let start = |name: &str, options: &[&str]| {
        let words = [&["run", "-d", "--name", name], &limits[..], options, &["box", "sleep", "1000"]].concat();
        podman.ok(&words);
    };
    let host = [
        "--cap-add",
        "SYS_ADMIN",
        "--network",
        "host",
        "--pid",
        "host",
        "--ipc",
        "host",
        "--uts",
        "host",
        "-v",
        "/etc:/host-etc",
        "--security-opt",
        "seccomp=unconfined",
        "--restart",
        "always",
    ];
    start("weak", &host);
    let tight = [
        "--read-only",
        "--cap-drop",
        "all",
        "--security-opt",
        "no-new-privileges",
        "--network",
        "none",
        "--user",
        "1000",
        "--pids-limit",
        "100",
        "--health-cmd",
        "true",
        "--health-interval",
        "disable",
    ];
    start("tight", &tight);
    let socket = podman.serve();
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix://{}", socket.display());
    let words = ["audit", "podman", "-H", &address, "--format", "json", "--all"];
    let deadline = Instant::now() + Duration::from_secs(240);
    let out = loop {
        let out = run(dir.path(), &words);
        // On a busy disk podman takes longer than an audit waits for an answer.
        let late = text(&out.stderr).contains("took too long") || text(&out.stdout).contains("took too long");
        if !late || Instant::now() > deadline {
            break out;
        }
    };
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let (weak, tight) = (of(&report, "weak", "fail"), of(&report, "tight", "fail"));
    for id in [
        "host-network",
        "host-pid",
        "host-ipc",
        "host-uts",
        "sensitive-host-mount",
        "added-capabilities",
        "seccomp-off",
        "unbounded-restarts",
        "writable-root",
        "may-gain-privileges",
        "runs-as-root",
        "no-health-check",
    ] {
        assert!(weak.contains(id), "{id}: {weak:?}");
        assert!(!tight.contains(id), "{id}: {tight:?}");
    }
    assert!(of(&report, "tight", "unknown").is_empty(), "{:?}", of(&report, "tight", "unknown"));
    // Its images are there, too, and the files of the host.
    let subjects: BTreeSet<&str> =
        report["checks"].as_array().unwrap().iter().filter_map(|c| c["subject"].as_str()).collect();
    assert!(subjects.iter().any(|s| s.starts_with("podman: image ") && s.contains("box")), "{subjects:?}");
    assert!(report["checks"].as_array().unwrap().iter().any(|c| c["refs"][0] == "PODMAN-1.1"));
    // A socket that nobody listens on is no silence.
    let gone = run(dir.path(), &["audit", "podman", "-H", "unix:///nowhere.sock"]);
    assert_eq!(gone.status.code(), Some(1), "{}", text(&gone.stdout));
    assert!(text(&gone.stderr).contains("podman system service"), "{}", text(&gone.stderr));
}
