//! The same Dockerfiles built by docker (BuildKit) and by us: the same files and the same configuration.
//!
//! Needs `dockerd` (package docker.io), which gets its own directories, no bridge and no firewall rules. The cases are
//! in `build_oracle/cases.txt`. Times are not compared: docker's differ from build to build.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use build_common::World;

struct Case {
    name: String,
    /// Why a difference is on purpose.
    known: Option<String>,
    flags: Vec<String>,
    files: Vec<(String, String)>,
}

fn cases() -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    for line in include_str!("build_oracle/cases.txt").lines() {
        if let Some(head) = line.strip_prefix("=== ") {
            let mut words = head.split(' ').map(str::to_owned);
            let name = words.next().unwrap();
            let known = name.starts_with('!').then(String::new);
            let name = name.trim_start_matches('!').to_owned();
            out.push(Case { name, known, flags: words.collect(), files: vec![("Dockerfile".into(), String::new())] });
        } else if let Some(case) = out.last_mut() {
            if case.known.as_ref().is_some_and(String::is_empty) {
                case.known = Some(line.to_owned());
            } else if let Some(file) = line.strip_prefix("--- ") {
                case.files.push((file.to_owned(), String::new()));
            } else if let Some((_, text)) = case.files.last_mut() {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    for case in &mut out {
        if case.name == "carriage-returns" {
            case.files[0].1 = case.files[0].1.replace('\n', "\r\n");
        }
    }
    out
}

/// The client of Debian's package docker.io.
const CLIENT: &str = "/usr/bin/docker";

/// A docker daemon of our own.
struct Docker {
    child: Child,
    dir: PathBuf,
}

impl Docker {
    fn start(dir: &Path) -> Option<Docker> {
        let found =
            |name: &str| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found("dockerd").is_err() || found(CLIENT).is_err() {
            eprintln!("skipped: dockerd is missing (package docker.io)");
            return None;
        }
        fs::create_dir_all(dir).unwrap();
        let child = Command::new("dockerd")
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"])
            .arg("--data-root")
            .arg(dir.join("data"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("-p")
            .arg(dir.join("pid"))
            .arg("-H")
            .arg(format!("unix://{}/sock", dir.display()))
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let docker = Docker { child, dir: dir.to_owned() };
        for _ in 0..300 {
            if docker.run(&["version"]).status.success() {
                return Some(docker);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("dockerd does not answer:\n{}", fs::read_to_string(dir.join("log")).unwrap());
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(CLIENT)
            .env("DOCKER_BUILDKIT", "1")
            .env("DOCKER_CONFIG", &self.dir)
            .arg("-H")
            .arg(format!("unix://{}/sock", self.dir.display()))
            .args(args)
            .output()
            .unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// The files that every case's context has.
fn make_context(dir: &Path) {
    let file = |path: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let link = |target: &str, path: &str| {
        fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, dir.join(path)).unwrap();
    };
    for (path, text) in [
        ("a.txt", "a\n"),
        ("b.txt", "b\n"),
        ("dir/x", "x\n"),
        ("dir/y", "y\n"),
        ("dir/sub/z", "z\n"),
        ("with space.txt", "space\n"),
        ("fake.tar", "this is no archive\n"),
    ] {
        file(path, text, 0o644);
    }
    file("modes/run", "#!/bin/sh\n", 0o755);
    file("modes/private", "p\n", 0o600);
    file("modes/setuid", "s\n", 0o4755);
    link("a.txt", "link.txt");
    link("dir", "dirlink");
    link("../a.txt", "links/up");
    link("/etc/passwd", "links/absolute");
    link("missing", "links/dangling");
    let tree = dir.join("../archive-tree");
    fs::create_dir_all(tree.join("lib")).unwrap();
    fs::create_dir_all(tree.join("empty")).unwrap();
    fs::write(tree.join("lib/from-archive"), "f\n").unwrap();
    fs::write(tree.join("owned"), "o\n").unwrap();
    std::os::unix::fs::symlink("owned", tree.join("to-owned")).unwrap();
    let tar = Command::new("tar")
        .args(["--sort=name", "--owner=7", "--group=8", "-czf"])
        .arg(dir.join("archive.tar.gz"))
        .arg("-C")
        .arg(&tree)
        .args(["empty", "lib/from-archive", "owned", "to-owned"])
        .status()
        .unwrap();
    assert!(tar.success());
}

/// One line a file: what can be compared.
fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut links: BTreeMap<u64, String> = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for path in names {
            use std::os::unix::fs::{FileTypeExt, MetadataExt};
            let m = fs::symlink_metadata(&path).unwrap();
            let name = format!("/{}", path.strip_prefix(root).unwrap().display());
            let what = if m.is_dir() {
                pending.push(path.clone());
                "dir".to_owned()
            } else if m.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if m.is_file() {
                let first = links.entry(m.ino()).or_insert_with(|| name.clone()).clone();
                let same = if m.nlink() > 1 && first != name { format!(" same as {first}") } else { String::new() };
                format!("file {:?}{same}", content(&path))
            } else if m.file_type().is_fifo() {
                "fifo".to_owned()
            } else {
                "other".to_owned()
            };
            out.insert(name, format!("{:04o} {}:{} {what}", m.mode() & 0o7777, m.uid(), m.gid()));
        }
    }
    out
}

/// Small files as text, large ones by length and a checksum.
fn content(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    if bytes.len() < 200 {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let sum = bytes.iter().fold(1u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    format!("{} bytes, {sum:x}", bytes.len())
}

/// The configuration without what differs on purpose.
fn config(json: &str) -> BTreeMap<String, String> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let keys = [
        "Env",
        "Cmd",
        "Entrypoint",
        "Labels",
        "User",
        "WorkingDir",
        "ExposedPorts",
        "Volumes",
        "OnBuild",
        "StopSignal",
        "Shell",
        "Healthcheck",
    ];
    let empty = |v: &serde_json::Value| match v {
        serde_json::Value::Null => true,
        serde_json::Value::String(s) => s.is_empty(),
        serde_json::Value::Array(a) => a.is_empty(),
        serde_json::Value::Object(o) => o.is_empty(),
        _ => false,
    };
    let sorted = |v: &serde_json::Value| match v {
        serde_json::Value::Object(o) => {
            let map: BTreeMap<_, _> = o.iter().collect();
            serde_json::to_string(&map).unwrap()
        }
        other => other.to_string(),
    };
    keys.iter().filter(|k| !empty(&value[**k])).map(|k| ((*k).to_owned(), sorted(&value[*k]))).collect()
}

fn unpack(tar: &[u8], into: &Path) {
    use std::io::Write;
    let _ = fs::remove_dir_all(into);
    fs::create_dir_all(into).unwrap();
    let mut child = Command::new("tar")
        .args(["-x", "-p", "--same-owner", "--numeric-owner", "-C"])
        .arg(into)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tar).unwrap();
    assert!(child.wait().unwrap().success());
}

type Result2 = Option<(BTreeMap<String, String>, BTreeMap<String, String>)>;

fn by_docker(docker: &Docker, case: &Case, context: &Path, out: &Path) -> (Result2, String) {
    let mut args = vec!["build", "--network=none", "-t", "case"];
    args.extend(case.flags.iter().map(String::as_str));
    args.push(context.to_str().unwrap());
    let built = docker.run(&args);
    let words = String::from_utf8_lossy(&built.stderr).into_owned();
    if !built.status.success() {
        return (None, words);
    }
    let inspected = docker.run(&["image", "inspect", "-f", "{{json .Config}}", "case"]);
    // An image without a command needs one to become a container.
    let created = docker.run(&["create", "--network=none", "case", "x"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let id = String::from_utf8_lossy(&created.stdout).trim().to_owned();
    let export = docker.run(&["export", &id]);
    docker.run(&["rm", "-f", &id]);
    unpack(&export.stdout, out);
    // What `create` adds to the file system.
    let mut files = listing(out);
    for stub in [
        "/.dockerenv",
        "/dev",
        "/dev/console",
        "/dev/pts",
        "/dev/shm",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/mtab",
        "/etc/resolv.conf",
        "/proc",
        "/sys",
    ] {
        files.remove(stub);
    }
    if !files.keys().any(|name| name.starts_with("/etc/")) {
        files.remove("/etc");
    }
    (Some((files, config(&String::from_utf8_lossy(&inspected.stdout)))), words)
}

fn by_us(w: &World, case: &Case, context: &Path, out: &Path) -> (Result2, String) {
    let _ = fs::remove_dir_all(out);
    let mut args = vec!["build", "--network=none", "-t", "case"];
    args.extend(case.flags.iter().map(String::as_str));
    args.push(context.to_str().unwrap());
    let built = w.run(&args);
    if built.code != 0 {
        return (None, built.err);
    }
    let output = format!("type=local,dest={}", out.display());
    args.extend(["-o", &output]);
    w.run(&args).ok();
    let config = config(&w.inspect("case", "{{json .Config}}"));
    (Some((listing(out), config)), built.err)
}

fn differences(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let show = |v: Option<&String>| v.cloned().unwrap_or_else(|| "absent".to_owned());
    names
        .into_iter()
        .filter(|n| ours.get(*n) != theirs.get(*n))
        .map(|n| format!("  {n}\n    docker:   {}\n    stockade: {}", show(theirs.get(n)), show(ours.get(n))))
        .collect()
}

#[test]
fn docker_and_stockade_build_the_same() {
    let Some(w) = World::new() else { return };
    let Some(docker) = Docker::start(&w.path("docker")) else { return };
    let base = docker.run(&["import", w.path("rootfs.tar").to_str().unwrap(), "busybox:1"]);
    assert!(base.status.success(), "{}", String::from_utf8_lossy(&base.stderr));
    let only = std::env::var("STOCKADE_ORACLE_CASE").ok();
    let mut failures = Vec::new();
    let cases = cases();
    assert!(only.is_some() || cases.len() >= 120, "{} cases", cases.len());
    for case in cases.iter().filter(|c| only.as_ref().is_none_or(|o| c.name.contains(o.as_str()))) {
        let context = w.path("case");
        let _ = fs::remove_dir_all(&context);
        let _ = fs::remove_dir_all(w.path("archive-tree"));
        fs::create_dir(&context).unwrap();
        make_context(&context);
        for (name, text) in &case.files {
            fs::write(context.join(name), text).unwrap();
        }
        let (theirs, their_words) = by_docker(&docker, case, &context, &w.path("theirs"));
        let (ours, our_words) = by_us(&w, case, &context, &w.path("ours"));
        let found = match (&ours, &theirs) {
            (Some(ours), Some(theirs)) => {
                let mut found = differences(&ours.0, &theirs.0);
                found.extend(differences(&ours.1, &theirs.1));
                found
            }
            (None, None) => Vec::new(),
            (Some(_), None) => vec![format!("  docker refuses it:\n{their_words}")],
            (None, Some(_)) => vec![format!("  stockade refuses it:\n{our_words}")],
        };
        if case.name.ends_with("-fails") && theirs.is_some() && case.known.is_none() {
            failures.push(format!("{}: docker builds it", case.name));
        }
        match (&case.known, found.is_empty()) {
            (None, false) => failures.push(format!("{}:\n{}", case.name, found.join("\n"))),
            (Some(why), true) => failures.push(format!("{}: the known difference is gone ({why})", case.name)),
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{} of {} cases differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
