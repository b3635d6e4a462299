//! We are Podman's runtime: a real podman (and its conmon) with directories of its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

struct Podman {
    dir: tempfile::TempDir,
}

impl Podman {
    fn new() -> Option<Podman> {
        if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs root and the package busybox-static");
            return None;
        }
        let found = Command::new("podman").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_err() {
            eprintln!("skipped: podman is missing");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("stockade-podman-").tempdir().unwrap();
        let bin = dir.path().join("root/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir(dir.path().join("root/var")).unwrap();
        fs::write(dir.path().join("root/var/kept"), b"from the image\n").unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in ["cat", "echo", "grep", "id", "sh", "sleep", "touch", "true"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        // By this name it is a runtime and nothing else.
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stockade"), dir.path().join("stockade-oci")).unwrap();
        let podman = Podman { dir };
        let tar = podman.dir.path().join("root.tar");
        let made =
            Command::new("tar").arg("-C").arg(podman.dir.path().join("root")).arg("-cf").arg(&tar).arg(".").status();
        assert!(made.unwrap().success());
        podman.ok(&["import", "-q", tar.to_str().unwrap(), "box"]);
        Some(podman)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let dir = self.dir.path();
        let output = Command::new("podman")
            .arg("--root")
            .arg(dir.join("storage"))
            .arg("--runroot")
            .arg(dir.join("run"))
            .arg("--tmpdir")
            .arg(dir.join("tmp"))
            .args(["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "vfs"])
            .arg("--runtime")
            .arg(dir.join("stockade-oci"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text.trim_end().to_owned())
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run(arguments);
        assert_eq!(code, 0, "podman {arguments:?}: {text}");
        text
    }

    /// `podman run` with limits that a machine without CAP_SYS_RESOURCE can set.
    fn container(&self, arguments: &[&str]) -> (i32, String) {
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network", "none"];
        let (verb, rest) = arguments.split_first().unwrap();
        self.run(&[&[*verb], limits.as_slice(), rest].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.run(&["rm", "-f", "-t", "0", "-a"]);
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let below = self.dir.path().display().to_string();
        for mount in mounts.lines().filter_map(|l| l.split(' ').nth(1)).filter(|m| m.starts_with(&below)) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}

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
