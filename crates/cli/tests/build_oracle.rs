//! The same Dockerfiles built by docker (BuildKit) and by us: the same files and the same configuration.
//! Differences on purpose are marked in the cases, and listed in docs/BUILD-DIFF.md.
//!
//! The docker is that of Debian trixie (26.1), newer than what bookworm has: this program builds a root with it, and
//! the daemon runs in there with directories of its own, no bridge and no firewall rules. `STOCKADE_ORACLE_SUITE=sid`
//! takes the newest, which also runs the cases that only it knows; `STOCKADE_ORACLE_ROOT` names a root that has a docker
//! already. The client is that of the machine (docker.io). The
//! cases are in `build_oracle/cases.txt`. Times are not compared: docker's differ from build to build.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use build_common::World;

struct Case {
    name: String,
    /// Oldest docker that knows what the case is about.
    since: u32,
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
            let (since, name) = match name.split_once('>') {
                Some((since, name)) => (since.parse().unwrap(), name.to_owned()),
                None => (0, name),
            };
            let known = name.starts_with('!').then(String::new);
            let name = name.trim_start_matches('!').to_owned();
            let files = vec![("Dockerfile".into(), String::new())];
            out.push(Case { name, since, known, flags: words.collect(), files });
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
    /// Its data and its socket.
    dir: PathBuf,
    major: u32,
}

/// Runs dockerd in the root `$1`, with its data in `$2` and mounts that end with it.
const IN_ROOT: &str = r#"mount --bind "$1" "$1"
cd "$1"
mkdir -p oracle
mount --bind "$2" oracle
for dir in dev proc sys; do mount --rbind "/$dir" "$dir"; done
mount -t tmpfs tmpfs run
exec chroot . dockerd --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
  --data-root /oracle/data --storage-driver overlay2 --log-level warn -H unix:///oracle/sock"#;

/// A Debian with docker.
fn make_root(w: &World) -> PathBuf {
    let suite = std::env::var("STOCKADE_ORACLE_SUITE").unwrap_or_else(|_| "trixie".to_owned());
    let (root, recipe, empty) = (w.path("docker-root"), w.path("docker.recipe"), w.path("empty"));
    let install = "apt-get update && apt-get install -y --no-install-recommends docker.io ca-certificates iptables";
    fs::write(&recipe, format!("FROM debian:{suite}\nRUN {install}\n")).unwrap();
    fs::create_dir_all(&empty).unwrap();
    let output = format!("type=local,dest={}", root.display());
    let args = ["build", "--network=host", "--confine=compat", "--sbom=false", "-o", &output, "-f"];
    let ran = w.run(&[&args[..], &[recipe.to_str().unwrap(), empty.to_str().unwrap()]].concat());
    assert_eq!(ran.code, 0, "no docker of {suite} to compare with:\n{}", ran.err);
    root
}

impl Docker {
    fn start(w: &World) -> Option<Docker> {
        if !Path::new(CLIENT).exists() {
            eprintln!("skipped: docker is missing (package docker.io)");
            return None;
        }
        let dir = w.path("docker");
        fs::create_dir_all(&dir).unwrap();
        let root = match std::env::var_os("STOCKADE_ORACLE_ROOT") {
            Some(root) => PathBuf::from(root),
            None => make_root(w),
        };
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-euc", IN_ROOT, "dockerd"])
            .args([&root, &dir])
            .stdout(Stdio::null())
            .stderr(fs::File::create(w.path("docker.log")).unwrap())
            .spawn()
            .unwrap();
        let mut docker = Docker { child, dir, major: 0 };
        for _ in 0..300 {
            let version = docker.run(&["version", "--format", "{{.Server.Version}}"]);
            let text = String::from_utf8_lossy(&version.stdout);
            if let Some(major) =
                text.split('.').next().and_then(|m| m.parse().ok()).filter(|_| version.status.success())
            {
                docker.major = major;
                return Some(docker);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("dockerd does not answer:\n{}", fs::read_to_string(w.path("docker.log")).unwrap());
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
    // cap_net_bind_service=ep, in the form that all kernels know (VFS_CAP_REVISION_2).
    file("capable", "c\n", 0o755);
    let capability = [1u32 | 0x0200_0000, 1 << 10, 0, 0, 0].map(u32::to_le_bytes).concat();
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(dir.join(path), name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    set("capable", "security.capability", &capability);
    file("noted.txt", "n\n", 0o644);
    set("noted.txt", "user.note", b"a note");
    file("noted/inner", "i\n", 0o644);
    set("noted", "user.note", b"of a directory");
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
    let tar = Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--owner=7", "--group=8", "-cf"])
        .arg(dir.join("attributes.tar"))
        .arg("-C")
        .arg(dir)
        .args(["capable", "noted.txt", "noted"])
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
                format!("dir{}", attributes(&path))
            } else if m.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if m.is_file() {
                let first = links.entry(m.ino()).or_insert_with(|| name.clone()).clone();
                let same = if m.nlink() > 1 && first != name { format!(" same as {first}") } else { String::new() };
                format!("file {:?}{same}{}", content(&path), attributes(&path))
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

/// Extended attributes that belong to the file and not to this machine's security module.
fn attributes(path: &Path) -> String {
    let mut names = [0u8; 4096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let mut out = String::new();
    for name in String::from_utf8_lossy(&names[..length]).split_terminator('\0') {
        let mut value = [0u8; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        out.push_str(&format!(" {name}={:?}", &value[..length]));
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
        .args(["-x", "-p", "--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C"])
        .arg(into)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tar).unwrap();
    assert!(child.wait().unwrap().success());
}

/// What a build gave: the files by path, or why there are none.
type Built = Result<BTreeMap<String, String>, String>;

/// Files and configuration, each by name.
type Facts = (BTreeMap<String, String>, BTreeMap<String, String>);

/// Builds with docker: the files, and the image as `case-NAME` for its configuration.
fn by_docker(docker: &Docker, case: &Case, context: &Path, out: &Path) -> Built {
    let tag = format!("case-{}", case.name);
    let build = |extra: &[&str]| {
        let mut args = vec!["build", "--network=none"];
        args.extend(extra);
        args.extend(case.flags.iter().map(String::as_str));
        args.push(context.to_str().unwrap());
        docker.run(&args)
    };
    let built = build(&["-t", &tag]);
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).into_owned());
    }
    // From the cache now.
    let tar = build(&["-o", "-"]);
    assert!(tar.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&tar.stderr));
    unpack(&tar.stdout, out);
    let mut files = listing(out);
    // Mount points that docker 20.10 leaves in images whose base lacks them.
    for stub in ["/dev", "/proc", "/sys"] {
        let below = format!("{stub}/");
        if !files.keys().any(|name| name.starts_with(&below)) {
            files.remove(stub);
        }
    }
    Ok(files)
}

/// Builds with stockade, files and image at once.
fn by_us(w: &World, case: &Case, context: &Path, out: &Path) -> Built {
    let (tag, output) = (format!("case-{}", case.name), format!("type=local,dest={}", out.display()));
    let mut args = vec!["build", "--network=none", "--sbom=false", "--provenance=false", "-t", &tag];
    args.extend(["-o", "type=image", "-o", &output]);
    args.extend(case.flags.iter().map(String::as_str));
    args.push(context.to_str().unwrap());
    let built = w.run(&args);
    if built.code == 0 { Ok(listing(out)) } else { Err(built.err) }
}

/// The configurations of all images `case-…`, by case.
fn configs(json: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let images: serde_json::Value = serde_json::from_str(json).unwrap();
    let mut out = BTreeMap::new();
    for image in images.as_array().unwrap() {
        for tag in image["RepoTags"].as_array().unwrap() {
            let name = tag.as_str().unwrap().trim_start_matches("case-").trim_end_matches(":latest").to_owned();
            out.insert(name, config(&image["Config"].to_string()));
        }
    }
    out
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

/// What both made of a case, or `None` if it was not run.
struct Pair {
    theirs: Built,
    ours: Built,
}

fn run_case(w: &World, docker: &Docker, case: &Case) -> Pair {
    let dir = w.path(&format!("cases/{}", case.name));
    let context = dir.join("context");
    fs::create_dir_all(&context).unwrap();
    make_context(&context);
    for (name, text) in &case.files {
        fs::write(context.join(name), text).unwrap();
    }
    let theirs = by_docker(docker, case, &context, &dir.join("theirs"));
    let ours = by_us(w, case, &context, &dir.join("ours"));
    fs::remove_dir_all(&dir).unwrap();
    Pair { theirs, ours }
}

fn judge(case: &Case, ours: Result<Facts, String>, theirs: Result<Facts, String>) -> Option<String> {
    let refused = theirs.is_err();
    let found = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            let mut found = differences(&ours.0, &theirs.0);
            found.extend(differences(&ours.1, &theirs.1));
            found
        }
        (Err(_), Err(_)) => Vec::new(),
        (Ok(_), Err(words)) => vec![format!("  docker refuses it:\n{words}")],
        (Err(words), Ok(_)) => vec![format!("  stockade refuses it:\n{words}")],
    };
    if case.name.ends_with("-fails") && !refused && case.known.is_none() {
        return Some(format!("{}: docker builds it", case.name));
    }
    match (&case.known, found.is_empty()) {
        (None, false) => Some(format!("{}:\n{}", case.name, found.join("\n"))),
        (Some(why), true) => Some(format!("{}: the known difference is gone ({why})", case.name)),
        _ => None,
    }
}

#[test]
fn docker_and_stockade_build_the_same() {
    let Some(w) = World::new() else { return };
    let Some(docker) = Docker::start(&w) else { return };
    let base = docker.run(&["import", w.path("rootfs.tar").to_str().unwrap(), "busybox:1"]);
    assert!(base.status.success(), "{}", String::from_utf8_lossy(&base.stderr));
    let only = std::env::var("STOCKADE_ORACLE_CASE").ok();
    let mut cases = cases();
    assert!(cases.len() >= 120, "{} cases", cases.len());
    cases.retain(|c| c.since <= docker.major && only.as_ref().is_none_or(|o| c.name.contains(o.as_str())));
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, Pair>> = Mutex::default();
    // Most of a case is waiting: for the disk, and for docker's several processes.
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8) * 2;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(case) = cases.get(at) else { return };
                    let pair = run_case(&w, &docker, case);
                    done.lock().unwrap().insert(at, pair);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let built = |side: fn(&Pair) -> &Built| -> Vec<String> {
        let built = done.iter().filter(|(_, pair)| side(pair).is_ok());
        built.map(|(at, _)| format!("case-{}", cases[*at].name)).collect()
    };
    let inspect = |names: &[String]| -> Vec<String> {
        ["image", "inspect"].into_iter().map(str::to_owned).chain(names.iter().cloned()).collect()
    };
    let args = inspect(&built(|p| &p.theirs));
    let theirs = docker.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let theirs = configs(&String::from_utf8_lossy(&theirs.stdout));
    let args = inspect(&built(|p| &p.ours));
    let ours = configs(&w.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).ok().out);
    let mut failures = Vec::new();
    for (at, pair) in &done {
        let case = &cases[*at];
        let of = |built: &Built, configs: &BTreeMap<String, BTreeMap<String, String>>| {
            built.clone().map(|files| (files, configs[&case.name].clone()))
        };
        let (us, them) = (of(&pair.ours, &ours), of(&pair.theirs, &theirs));
        failures.extend(judge(case, us, them));
    }
    assert!(failures.is_empty(), "{} of {} cases differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// Every difference on purpose is in the documentation, word for word.
#[test]
fn differences_on_purpose_are_documented() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/BUILD-DIFF.md")).unwrap();
    for case in cases() {
        if let Some(why) = &case.known {
            let row = format!("| `{}` | {why} |", case.name);
            assert!(text.contains(&row), "docs/BUILD-DIFF.md lacks the line\n{row}");
        }
    }
}
