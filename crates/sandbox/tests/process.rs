//! Detached processes and small residents.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use stockade_sandbox::process::{fork_detached, shrink_resident, start_time};

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(u64::MAX)
}

/// Runs `f` in a detached process and returns what it wrote. The test harness has a second thread that only waits, so
/// forking is safe here.
fn in_detached(f: impl FnOnce(&mut UnixStream) -> i32) -> (i32, String) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let kept = theirs.try_clone().unwrap();
    let pid = fork_detached(&[kept.as_fd()], || {
        let mut out = kept.try_clone().unwrap();
        f(&mut out)
    })
    .unwrap();
    drop((theirs, kept));
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    (pid, text)
}

#[test]
fn a_detached_process_is_alone() {
    let (pid, text) = in_detached(|out| {
        let own = std::process::id() as i32;
        let session = rustix::process::getsid(None).map_or(0, |s| s.as_raw_nonzero().get());
        let mut open: Vec<String> = std::fs::read_dir("/proc/self/fd")
            .map(|d| d.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        open.sort();
        let cwd = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
        let null = std::fs::read_link("/proc/self/fd/1").map(|p| p.display().to_string()).unwrap_or_default();
        let _ = write!(out, "{own} {} {} {cwd} {null}", session != own && session > 0, open.len());
        0
    });
    let fields: Vec<&str> = text.split(' ').collect();
    assert_eq!(fields[0], pid.to_string());
    assert_eq!(fields[1], "true", "in a session that it does not lead");
    // 0, 1, 2, the kept socket, its clone, and the directory being read.
    assert_eq!(fields[2], "6", "{text}");
    assert_eq!(&fields[3..], ["/", "/dev/null"]);
}

#[test]
fn a_resident_process_is_small_and_still_works() {
    let (_, text) = in_detached(|out| {
        // Something to give back.
        let junk: Vec<Vec<u8>> = (0..2000).map(|n| vec![n as u8; 4096]).collect();
        let sum: usize = junk.iter().map(Vec::len).sum();
        drop(junk);
        let before = resident_kib();
        shrink_resident();
        let after = resident_kib();
        let _ = write!(out, "{before} {after} {sum}");
        // Code that was dropped comes back.
        i32::from(start_time(std::process::id() as i32).is_none())
    });
    let numbers: Vec<u64> = text.split(' ').map(|n| n.parse().unwrap()).collect();
    assert!(numbers[1] < numbers[0], "{text}");
    assert!(numbers[1] <= 2048, "resident after shrinking: {} KiB", numbers[1]);
}

/// The launcher is killed between create and start: the waiting process, its mounts and namespaces go with it.
#[test]
fn a_waiting_container_dies_with_its_launcher() {
    if support::skip() {
        return;
    }
    let world = support::World::new();
    let plan = world.plan(&["sleep", "100"]);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let launcher = fork_detached(&[theirs.as_fd()], || {
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let stdio = stockade_sandbox::Stdio { stdin: null(), stdout: null(), stderr: null() };
        let Ok(created) = stockade_sandbox::create(&plan, Some(stdio)) else { return 1 };
        let _ = (&theirs).write_all(&created.pid().to_le_bytes());
        std::thread::sleep(std::time::Duration::from_secs(100));
        0
    })
    .unwrap();
    drop(theirs);
    let mut pid = [0u8; 4];
    ours.read_exact(&mut pid).unwrap();
    let child = stockade_sandbox::process::open_pid(i32::from_le_bytes(pid)).unwrap();
    assert!(!support::has_ended(&child));
    let launcher = stockade_sandbox::process::open_pid(launcher).unwrap();
    stockade_sandbox::process::send_signal(launcher.as_fd(), 9).unwrap();
    let mut fds = [rustix::event::PollFd::new(&child, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).unwrap();
    assert!(world.cgroup().exists(), "the cgroup is for the engine's collector to find");
}

const AGAIN: &str = "STOCKADE_TEST_RUN_FROM_READONLY_MOUNT";

/// Not a test of its own: what [`our_program_cannot_be_overwritten_through_its_link`] runs.
#[test]
fn running_from_a_readonly_mount() {
    if std::env::var_os(AGAIN).is_none() {
        return;
    }
    stockade_sandbox::process::run_from_readonly_mount().unwrap();
    println!("ready");
    std::thread::sleep(std::time::Duration::from_secs(100));
}

/// CVE-2019-5736, the attacker's part: keep a handle of a process's program, wait for its end, open it for writing.
#[test]
fn our_program_cannot_be_overwritten_through_its_link() {
    if support::skip() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut child = std::process::Command::new(&copy)
        .args(["--exact", "running_from_a_readonly_mount", "--nocapture"])
        .env(AGAIN, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    let link = format!("/proc/{}/exe", child.id());
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let handle = rustix::fs::open(link, flags, rustix::fs::Mode::empty()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
    let error = std::fs::OpenOptions::new().write(true).open(again).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    // The neighbour: the file itself is an ordinary one.
    assert!(std::fs::OpenOptions::new().write(true).open(&copy).is_ok());
}
