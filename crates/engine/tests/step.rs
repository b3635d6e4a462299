//! Build steps on the real kernel: output, exit codes, what lands in the layer, cancelling, and what is left behind.
#![allow(clippy::unwrap_used)] // a test may panic

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stockade_engine::{Cancel, Engine, EngineError, Level, NetMode, StepRequest, StepStream};

struct World {
    dir: tempfile::TempDir,
    engine: Engine,
    lower: PathBuf,
}

impl World {
    fn new() -> Option<World> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: build steps need root");
            return None;
        }
        if !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: /bin/busybox is missing; install the package busybox-static");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::at(&dir.path().join("root"), &dir.path().join("run"));
        let lower = dir.path().join("lower");
        for sub in ["bin", "etc", "tmp", "root"] {
            fs::create_dir_all(lower.join(sub)).unwrap();
        }
        fs::set_permissions(&lower, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(lower.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::copy("/bin/busybox", lower.join("bin/busybox")).unwrap();
        let applets = Command::new("/bin/busybox").arg("--list").output().unwrap();
        for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|a| *a != "busybox") {
            symlink("busybox", lower.join("bin").join(applet)).unwrap();
        }
        fs::write(lower.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
            .unwrap();
        Some(World { dir, engine, lower })
    }

    /// A request with a fresh upper directory.
    fn request(&self, name: &str, script: &str) -> StepRequest {
        let (upper, work) = (self.dir.path().join(name).join("upper"), self.dir.path().join(name).join("work"));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(&work).unwrap();
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).unwrap();
        StepRequest {
            lower: vec![self.lower.clone()],
            upper,
            work,
            args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            network: NetMode::None,
            ..StepRequest::default()
        }
    }

    fn run(&self, request: &StepRequest) -> (Result<i32, EngineError>, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = self.engine.run_step(request, &mut |stream, bytes| match stream {
            StepStream::Stdout => out.extend_from_slice(bytes),
            StepStream::Stderr => err.extend_from_slice(bytes),
        });
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    /// Groups of steps that other tests of this process run at the same time go away by themselves.
    #[track_caller]
    fn leaves_nothing(&self) {
        let until = std::time::Instant::now() + Duration::from_secs(120);
        while !self.traces().is_empty() {
            assert!(std::time::Instant::now() < until, "still there: {:#?}", self.traces());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything that a step must not leave.
    fn traces(&self) -> Vec<String> {
        let list = |dir: PathBuf| {
            let names = fs::read_dir(&dir).into_iter().flatten().flatten();
            names.map(|e| e.path().display().to_string()).collect::<Vec<_>>()
        };
        let mut all = list(self.engine.root().join("idranges"));
        all.extend(list(self.engine.run_dir().join("steps")));
        let pid = std::process::id();
        for controller in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            all.extend(
                list(controller.path().join("stockade")).into_iter().filter(|p| p.contains(&format!("build-{pid}-"))),
            );
        }
        all
    }
}

#[test]
fn output_exit_code_and_files() {
    let Some(world) = World::new() else { return };
    let script = "echo out; echo err >&2; id -u; echo made > /made; chown 33:44 /made; sync; exit 7";
    let request = world.request("a", script);
    let (code, out, err) = world.run(&request);
    assert_eq!((code.unwrap(), out.as_str(), err.as_str()), (7, "out\n0\n", "err\n"));
    let made = fs::metadata(request.upper.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (33, 44), "the layer holds the container's ids");
    let names: Vec<_> = fs::read_dir(&request.upper).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["made"], "mount points of the sandbox are not in the layer");
    world.leaves_nothing();
}

#[test]
fn programs_that_cannot_run_have_dockers_exit_codes() {
    let Some(world) = World::new() else { return };
    // A fresh upper directory each time: a volatile overlay's may not be mounted twice.
    let request = StepRequest { args: vec!["/no/such/program".into()], ..world.request("a", "") };
    assert_eq!(world.run(&request).0.unwrap_err().exit_code(), 127);
    let request = StepRequest { args: vec!["/etc/passwd".into()], ..world.request("b", "") };
    assert_eq!(world.run(&request).0.unwrap_err().exit_code(), 126);
    let request = StepRequest { user: "nobody-here".into(), ..world.request("c", "true") };
    assert!(world.run(&request).0.unwrap_err().chain().contains("nobody-here"));
    world.leaves_nothing();
}

#[test]
fn a_step_is_confined_and_knows_its_user_and_directory() {
    let Some(world) = World::new() else { return };
    let mut request = world.request("a", "pwd; id -u; echo $HOME $A; cat /proc/self/uid_map; ls /sys/class/net");
    request.cwd = "/new/dir".into();
    request.user = "user".into();
    request.env = vec!["A=b".into()];
    let (code, out, _) = world.run(&request);
    assert_eq!(code.unwrap(), 0);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(&lines[..3], ["/new/dir", "1000", "/home/user b"]);
    assert!(!lines[3].split_whitespace().nth(1).unwrap().eq("0"), "{out}");
    assert_eq!(lines[4], "lo");
    let forbidden = world.run(&world.request("b", "unshare -U true || mount -t tmpfs none /tmp"));
    assert_ne!(forbidden.0.unwrap(), 0);
    let compat = StepRequest { level: Level::Compat, ..world.request("c", "cat /proc/self/uid_map") };
    assert!(world.run(&compat).1.split_whitespace().eq(["0", "0", "4294967295"]));
}

#[test]
fn a_plain_directory_is_a_root_too() {
    let Some(world) = World::new() else { return };
    let mut request = world.request("a", "echo x > /etc/made; chown 5:6 /etc/made");
    request.lower = Vec::new();
    request.upper = world.lower.clone();
    let (code, _, err) = world.run(&request);
    assert_eq!(code.unwrap(), 0, "{err}");
    let made = fs::metadata(world.lower.join("etc/made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (5, 6));
    assert!(!world.lower.join("proc").exists());
}

#[test]
fn a_cancelled_step_is_killed_with_all_it_started() {
    let Some(world) = World::new() else { return };
    let cancel = Cancel::new().unwrap();
    let mut request = world.request("a", "sleep 1000 & echo started; sleep 1000");
    request.cancel = Some(cancel.clone());
    let result = world.engine.run_step(&request, &mut |_, _| cancel.cancel());
    assert!(matches!(result, Err(EngineError::Cancelled)), "{result:?}");
    world.leaves_nothing();
}

#[test]
fn several_steps_run_at_once_from_threads() {
    let Some(world) = World::new() else { return };
    let world = &world;
    std::thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn(move || {
                let noise: Vec<String> = (0..2000).map(|i| format!("{n} {i}")).collect();
                let request = world.request(&format!("s{n}"), &format!("seq 2000; echo {n} > /made; exit {n}"));
                let (code, out, err) = world.run(&request);
                assert_eq!((code.unwrap(), err.as_str()), (n, ""));
                assert_eq!(out.lines().count(), noise.len());
            });
        }
    });
    world.leaves_nothing();
}

#[test]
fn a_background_process_does_not_hold_a_step_up() {
    let Some(world) = World::new() else { return };
    let request = world.request("a", "sleep 1000 & echo done");
    let (code, out, _) = world.run(&request);
    assert_eq!((code.unwrap(), out.as_str()), (0, "done\n"));
    std::thread::sleep(Duration::from_millis(1));
    world.leaves_nothing();
}
