//! A sealed world for build tests: own directories, a base image made of busybox, the real binary.
#![allow(dead_code)] // each test file uses a part of it

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct World {
    dir: tempfile::TempDir,
}

/// What a command printed and returned.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran::of(output)
    }
}

impl Ran {
    fn of(output: Output) -> Ran {
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Ran {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is missing in:\n{}", self.err);
        }
        self
    }
}

impl World {
    /// `None`, with the reason printed, where these tests cannot run.
    pub fn new() -> Option<World> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: builds need root");
            return None;
        }
        if !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: /bin/busybox is missing (package busybox-static)");
            return None;
        }
        // Not on a tmpfs that may be small: the store keeps several copies of busybox.
        let dir = tempfile::Builder::new().prefix("stockade-build-").tempdir_in("/var/tmp").unwrap();
        let world = World { dir };
        world.import_busybox();
        Some(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockade"));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path())
            .env("STOCKADE_ROOT", self.root())
            .env("STOCKADE_RUN", self.path("run"))
            .env("STOCKADE_CONFIG", "/dev/null")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command().args(args).output().unwrap())
    }

    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        use std::io::Write;
        let mut child = self
            .command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        Ran::of(child.wait_with_output().unwrap())
    }

    fn import_busybox(&self) {
        let rootfs = self.path("rootfs");
        for dir in ["bin", "etc", "tmp", "usr/lib"] {
            fs::create_dir_all(rootfs.join(dir)).unwrap();
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        fs::set_permissions(rootfs.join("bin/busybox"), fs::Permissions::from_mode(0o755)).unwrap();
        let applets = [
            "sh", "ls", "cat", "echo", "true", "false", "mkdir", "touch", "rm", "cp", "mv", "id", "env", "sleep", "ln",
            "chmod", "chown", "find", "stat", "test", "sort", "seq", "dd", "grep", "wc",
        ];
        for applet in applets {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        symlink("usr/lib", rootfs.join("lib")).unwrap();
        fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/home/web:/bin/sh\n").unwrap();
        fs::write(rootfs.join("etc/group"), "root:x:0:\nwww:x:34:\nstaff:x:50:\n").unwrap();
        let tar = self.path("rootfs.tar");
        let status = Command::new("tar")
            .args(["--sort=name", "--mtime=@1000000000", "--owner=0", "--group=0", "-C"])
            .arg(&rootfs)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()
            .unwrap();
        assert!(status.success());
        self.run(&["import", tar.to_str().unwrap(), "busybox:1"]).ok();
    }

    /// Writes a file of the context `ctx`.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("ctx").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Builds the context with this Dockerfile and no network.
    pub fn build(&self, dockerfile: &str, args: &[&str]) -> Ran {
        self.file("Dockerfile", dockerfile);
        let mut all = vec!["build", "--network=none", "--progress=plain"];
        all.extend(args);
        all.push("ctx");
        self.run(&all)
    }

    /// Builds, and unpacks the result's files.
    #[track_caller]
    pub fn files(&self, dockerfile: &str, args: &[&str]) -> PathBuf {
        let out = self.path("out");
        let _ = fs::remove_dir_all(&out);
        let output = format!("type=local,dest={}", out.display());
        let mut all = args.to_vec();
        all.extend(["-o", &output]);
        self.build(dockerfile, &all).ok();
        out
    }

    pub fn inspect(&self, image: &str, format: &str) -> String {
        self.run(&["image", "inspect", "-f", format, image]).ok().out.trim().to_owned()
    }
}

pub fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Owner, group and permission bits.
pub fn attributes(path: impl AsRef<Path>) -> (u32, u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let m = fs::symlink_metadata(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()));
    (m.uid(), m.gid(), m.mode() & 0o7777)
}
