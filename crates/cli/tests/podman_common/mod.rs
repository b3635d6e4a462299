//! A real podman for tests.
#![allow(dead_code)]

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A podman with directories of its own, an image `box` of busybox, and us as its runtime; its containers end when dropped.
pub struct Podman {
    dir: tempfile::TempDir,
    service: RefCell<Option<Child>>,
}

impl Podman {
    /// None, with the reason on stderr, where podman cannot be tested.
    pub fn new() -> Option<Podman> {
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
        let podman = Podman { dir, service: RefCell::new(None) };
        let tar = podman.dir.path().join("root.tar");
        let made =
            Command::new("tar").arg("-C").arg(podman.dir.path().join("root")).arg("-cf").arg(&tar).arg(".").status();
        assert!(made.unwrap().success());
        podman.ok(&["import", "-q", tar.to_str().unwrap(), "box"]);
        Some(podman)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let dir = self.dir.path();
        let mut command = Command::new("podman");
        command
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
            .stdin(Stdio::null());
        command
    }

    /// Exit code and both outputs of a podman command.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text.trim_end().to_owned())
    }

    /// Output of a podman command that must succeed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run(arguments);
        assert_eq!(code, 0, "podman {arguments:?}: {text}");
        text
    }

    /// `podman run` with limits that a machine without CAP_SYS_RESOURCE can set.
    pub fn container(&self, arguments: &[&str]) -> (i32, String) {
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network", "none"];
        let (verb, rest) = arguments.split_first().unwrap();
        self.run(&[&[*verb], limits.as_slice(), rest].concat())
    }

    /// Starts `podman system service`, and returns the path of its socket once it answers.
    pub fn serve(&self) -> PathBuf {
        let socket = self.dir.path().join("podman.sock");
        let address = format!("unix://{}", socket.display());
        let mut command = self.command(&["system", "service", "--time=0", &address]);
        *self.service.borrow_mut() = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "podman system service does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        socket
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
        self.run(&["rm", "-f", "-t", "0", "-a"]);
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let below = self.dir.path().display().to_string();
        for mount in mounts.lines().filter_map(|l| l.split(' ').nth(1)).filter(|m| m.starts_with(&below)) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
    }
}
