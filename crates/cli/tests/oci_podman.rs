//! We are Podman's runtime: a real podman (and its conmon) with directories of its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod podman_common;

use podman_common::Podman;

#[test]
fn podman_runs_its_containers_with_us() {
    let Some(podman) = Podman::new() else { return };
    let run = |args: &[&str]| podman.container(args);
    assert_eq!(run(&["run", "--rm", "box", "id"]), (0, "uid=0 gid=0".to_owned()));
    assert_eq!(run(&["run", "--rm", "box", "sh", "-c", "exit 7"]).0, 7);
    assert_eq!(run(&["run", "--rm", "box", "nothing"]).0, 127);
    assert_eq!(run(&["run", "-t", "--rm", "box", "sh", "-c", "test -t 1 && echo tty"]), (0, "tty".to_owned()));
    let (code, map) = run(&["run", "--rm", "--uidmap", "0:200000:65536", "box", "cat", "/proc/self/uid_map"]);
    assert!(code == 0 && map.contains("200000"), "{map}");
    // `--read-only` and `--tmpfs` ask for a tmpfs that begins with what it covers.
    let (code, text) = run(&[
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/var",
        "--cap-drop",
        "all",
        "--user",
        "33:33",
        "box",
        "sh",
        "-c",
        "cat /var/kept && grep CapEff /proc/self/status && ! touch /x 2>/dev/null",
    ]);
    assert!(code == 0 && text.contains("from the image") && text.contains("0000000000000000"), "{text}");

    assert_eq!(run(&["run", "-d", "--name", "c", "box", "sh", "-c", "echo said; exec sleep 1000"]).0, 0);
    assert_eq!(podman.ok(&["ps", "--format", "{{.Names}}"]), "c");
    assert_eq!(podman.ok(&["exec", "-u", "33", "c", "id", "-u"]), "33");
    assert_eq!(podman.run(&["exec", "c", "sh", "-c", "exit 9"]).0, 9);
    assert_eq!(podman.ok(&["logs", "c"]), "said");
    assert!(podman.ok(&["top", "c"]).contains("sleep"));
    assert!(podman.ok(&["stats", "--no-stream", "--format", "{{.PIDs}}", "c"]).starts_with('1'));
    podman.ok(&["pause", "c"]);
    podman.ok(&["unpause", "c"]);
    podman.ok(&["restart", "-t", "0", "c"]);
    podman.ok(&["kill", "c"]);
    assert_eq!(podman.ok(&["wait", "c"]), "137");
    podman.ok(&["rm", "c"]);

    assert_eq!(run(&["create", "--name", "d", "box", "echo", "started"]).0, 0);
    podman.ok(&["init", "d"]);
    assert_eq!(podman.ok(&["start", "-a", "d"]), "started");
    podman.ok(&["rm", "d"]);
}
