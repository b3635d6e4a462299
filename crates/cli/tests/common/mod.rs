//! A sealed world for tests of the real binary: its own state directories and bridge, an image made from the host's
//! busybox, and everything taken away at the end.
#![allow(dead_code, clippy::unwrap_used)] // every test file uses a part of it; a test may panic

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use stockade_image::{Reference, Store};

/// Name of the test image.
pub const IMAGE: &str = "box";

/// A root, a run directory, a bridge, and the image [`IMAGE`].
pub struct World {
    dir: tempfile::TempDir,
    bridge: String,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Fails the test unless the command succeeded; its output without the last line break.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "exit {}\nstdout: {}\nstderr: {}", self.code, self.out, self.err);
        self.out.trim_end_matches('\n').to_owned()
    }

    /// Fails the test unless the command ended with `code`.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "exit {}\nstdout: {}\nstderr: {}", self.code, self.out, self.err);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl World {
    /// Makes a world; `None`, with a word why, where these tests cannot run.
    pub fn new() -> Option<World> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: containers need root");
            return None;
        }
        if !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: /bin/busybox is missing; install the package busybox-static");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::Builder::new().prefix("stockade-test-").tempdir().unwrap();
        let bridge = format!("skt{:x}n{number}", std::process::id() & 0xff_ffff);
        let world = World { dir, bridge };
        world.import(IMAGE, &["CMD [\"sh\"]"]);
        Some(world)
    }

    /// Puts a busybox root into the store.
    pub fn import(&self, name: &str, changes: &[&str]) {
        let store = Store::open(&self.root()).unwrap();
        let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
        store.import(busybox_root().as_slice(), &changes, None, Some(&Reference::parse(name).unwrap())).unwrap();
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Name of this world's bridge.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// A directory for the test's own files.
    pub fn scratch(&self) -> PathBuf {
        let path = self.dir.path().join("scratch");
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A command in this world.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockade"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path())
            .env("NO_COLOR", "1")
            .env("STOCKADE_ROOT", self.root())
            .env("STOCKADE_RUN", self.run_dir())
            .env("STOCKADE_BRIDGE", &self.bridge)
            .env("STOCKADE_GATE", "off")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn sk(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command with this on standard input.
    pub fn sk_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.into()
    }

    /// One field of `inspect`.
    #[track_caller]
    pub fn field(&self, name: &str, template: &str) -> String {
        self.sk(&["inspect", "-f", template, name]).ok()
    }

    /// The monitor's process id.
    #[track_caller]
    pub fn monitor(&self, name: &str) -> i32 {
        self.field(name, "{{.Stockade.Monitor.Pid}}").parse().unwrap()
    }

    /// Waits until nothing is left: a monitor tells its client of the end before it is gone itself.
    #[track_caller]
    pub fn leaves_nothing(&self) {
        self.leaves_nothing_after(|| {});
    }

    /// As `leaves_nothing`, sweeping before each look.
    #[track_caller]
    pub fn leaves_nothing_after(&self, sweep: impl Fn()) {
        let until = Instant::now() + PATIENCE;
        loop {
            sweep();
            let left = self.traces();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "still there: {left:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything of this world, and of the machine, that a container could leave behind.
    pub fn traces(&self) -> BTreeSet<String> {
        let mut traces = BTreeSet::new();
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let ours = self.dir.path().to_string_lossy().into_owned();
        traces.extend(text("/proc/self/mountinfo").lines().filter(|l| l.contains(&ours)).map(|l| format!("mount {l}")));
        for dir in ["containers", "names", "idranges", "leases", "volumes"] {
            // What a killed process was just writing is swept when it is old: no container is left by it.
            let lasting = names(&self.root().join(dir)).filter(|n| !n.starts_with(".tmp-"));
            traces.extend(lasting.map(|n| format!("{dir}/{n}")));
        }
        for dir in ["containers", "steps"] {
            traces.extend(names(&self.run_dir().join(dir)).map(|n| format!("run/{dir}/{n}")));
        }
        traces.extend(tree(&self.run_dir().join("network")).into_iter().filter(|p| p.contains("endpoint")));
        traces.extend(self.processes().into_iter().map(|p| format!("process {p}")));
        traces
    }

    /// Our processes: those with this world's directories in their environment.
    pub fn processes(&self) -> Vec<i32> {
        let needle = format!("STOCKADE_ROOT={}", self.root().display()).into_bytes();
        names(Path::new("/proc"))
            .filter_map(|n| n.parse::<i32>().ok())
            .filter(|pid| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.split(|b| *b == 0).any(|v| v == needle)
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ids = self.sk(&["ps", "-aq", "--no-trunc"]).out;
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            self.sk(&[&["rm", "-f", "-v"], ids.as_slice()].concat());
        }
        // The last monitor leaves the network up for a moment, and one that was killed at its very end for good: a removal
        // collects that, once it is sure that nobody else is about to.
        let bridge = Path::new("/sys/class/net").join(&self.bridge);
        let until = Instant::now() + PATIENCE;
        while bridge.exists() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
            if bridge.exists() && self.sk(&["create", "--name", "broom", IMAGE]).code == 0 {
                self.sk(&["rm", "-f", "broom"]);
            }
        }
    }
}

/// Names in a directory; none if it does not exist.
pub fn names(dir: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok())
}

fn tree(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        all.push(entry.path().display().to_string());
        if entry.path().is_dir() {
            all.extend(tree(&entry.path()));
        }
    }
    all
}

/// Control groups and network interfaces of the whole machine that look like a container's.
pub fn machine_traces(ids: &[String]) -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    for controller in names(Path::new("/sys/fs/cgroup")) {
        let dir = Path::new("/sys/fs/cgroup").join(&controller).join("stockade");
        traces.extend(names(&dir).filter(|n| ids.contains(n)).map(|n| format!("cgroup {controller} {n}")));
    }
    traces
}

/// How long tests wait for what must come. Not a measurement: it only keeps a broken test from hanging, and a loaded
/// machine with two cores takes seconds for what takes milliseconds otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `done` holds. Not a measurement: the limit only keeps a broken test from hanging.
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal.
pub fn signal(pid: i32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// A root file system of busybox, as a tar.
fn busybox_root() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let add_dir = |tar: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        tar.append_data(&mut header, name, std::io::empty()).unwrap();
    };
    for (name, mode) in
        [("bin", 0o755), ("etc", 0o755), ("home/user", 0o755), ("root", 0o700), ("srv", 0o755), ("tmp", 0o1777)]
    {
        add_dir(&mut tar, name, mode);
    }
    let busybox = fs::read("/bin/busybox").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    tar.append_data(&mut header, "bin/busybox", busybox.as_slice()).unwrap();
    let applets = Command::new("/bin/busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|a| *a != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    for (name, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"),
        ("etc/group", "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n"),
        ("srv/page", "from the image\n"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}
