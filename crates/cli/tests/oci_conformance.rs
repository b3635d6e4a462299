//! Cases from the OCI runtime specification, section by section, against a runtime: ours, unless
//! `STOCKADE_CONFORMANCE_RUNTIME` names another one (`benches/oci-conformance.sh` does that for the table of who passes
//! what).
//!
//! A case is a few lines in `oci_conformance/*.txt`:
//!
//! * `patch`: changes to the configuration (a JSON merge patch; a key with `+` before it is added to a list).
//! * `sh`: a script that runs in the container; `want` is its whole output, `has` and `lacks` are lines in it, `errors` is
//!   in its error output, `exit` its exit code, `input` its input.
//! * `refused`: the container cannot be created, and nothing is left.
//! * `host`: a script that runs on the host in the bundle, with `$RUNTIME`, `$ID`, `$BUNDLE` and the functions below.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

const FILES: [(&str, &str); 3] = [
    ("config.md", include_str!("oci_conformance/config.txt")),
    ("config-linux.md", include_str!("oci_conformance/linux.txt")),
    ("runtime.md and runc(8)", include_str!("oci_conformance/runtime.txt")),
];

/// What host scripts may use.
const FUNCTIONS: &str = r#"
create() { $RUNTIME create "$1" </dev/null >/dev/null 2>create.err; }
pid() { $RUNTIME state "$1" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'; }
status() { $RUNTIME state "$1" | grep -q "\"status\": *\"$2\""; }
gone() { for i in $(seq 200); do status "$1" stopped && return 0; sleep 0.05; done; return 1; }
await() { for i in $(seq 200); do [ -s "$1" ] && return 0; sleep 0.05; done; return 1; }
group() { cat /sys/fs/cgroup/$1/stockade-conformance/$ID/$2 2>/dev/null; }
"#;

/// What scripts in the container may use.
const INSIDE: &str = r#"
options() { awk -v p="$1" '$5 == p {o = $6} END {print o}' /proc/self/mountinfo; }
superoptions() { awk -v p="$1" '$5 == p {o = $NF} END {print o}' /proc/self/mountinfo; }
peers() { awk -v p="$1" '$5 == p {r = ""; for (i = 7; $i != "-"; i++) {split($i, a, ":"); if (a[1] != "propagate_from") r = r (r == "" ? "" : " ") a[1]} } END {print r == "" ? "none" : r}' /proc/self/mountinfo; }
"#;

#[derive(Default, Clone)]
struct Case {
    name: String,
    spec: String,
    patch: Option<Value>,
    sh: Option<String>,
    host: Option<String>,
    input: String,
    exit: i32,
    want: Option<String>,
    has: Vec<String>,
    lacks: Vec<String>,
    errors: Vec<String>,
    refused: bool,
}

fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        if let Some(more) = line.strip_prefix("  ") {
            let last = fields.last_mut().expect("a field before its continuation");
            last.1.push('\n');
            last.1.push_str(more);
        } else if let Some((name, value)) = line.split_once(':') {
            // A value keeps its leading spaces but one.
            fields.push((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()));
        }
    }
    for (name, value) in fields {
        if name == "case" {
            cases.push(Case { name: value, ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a case before its fields");
        let lines = || value.lines().map(str::to_owned).collect::<Vec<_>>();
        match name.as_str() {
            "spec" => case.spec = value,
            "patch" => {
                let parsed = serde_json::from_str(&value);
                case.patch = Some(parsed.unwrap_or_else(|e| panic!("{}: {e}: {value}", case.name)));
            }
            "sh" => case.sh = Some(value),
            "host" => case.host = Some(value),
            "input" => case.input = value + "\n",
            "exit" => case.exit = value.parse().unwrap(),
            "want" => case.want = Some(value),
            "has" => case.has = lines(),
            "lacks" => case.lacks = lines(),
            "errors" => case.errors = lines(),
            "refused" => case.refused = true,
            other => panic!("{}: unknown field {other}", case.name),
        }
    }
    cases
}

fn base() -> Value {
    let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps, "inheritable": [], "ambient": [] },
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs" },
        "hostname": "conformance",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
        ],
        "linux": {
            "cgroupsPath": "/stockade-conformance/@ID@",
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "cgroup" },
            ],
        },
    })
}

/// RFC 7396, and `+name` to add to a list.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return target.clone_from(patch) };
    if !target.is_object() {
        *target = json!({});
    }
    let object = target.as_object_mut().unwrap();
    for (key, value) in patch {
        match key.strip_prefix('+') {
            Some(list) => {
                let list = object.entry(list).or_insert_with(|| json!([])).as_array_mut().unwrap();
                list.extend(value.as_array().unwrap().iter().cloned());
            }
            None if value.is_null() => drop(object.remove(key)),
            None => merge(object.entry(key.as_str()).or_insert(Value::Null), value),
        }
    }
}

/// A runtime under test, with a directory for its containers' state.
struct Runtime {
    command: Vec<String>,
}

/// Mounts, namespaces and files that all bundles share; taken away at the end.
struct World {
    dir: tempfile::TempDir,
    holder: std::process::Child,
}

impl World {
    fn new() -> World {
        let dir = tempfile::Builder::new().prefix("stockade-conformance-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["data", "nested/below", "inner", "shared", "template/bin"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("data/file"), "content\n").unwrap();
        std::fs::write(at("inner/inner"), "").unwrap();
        std::fs::copy("/bin/true", at("data/program")).unwrap();
        sh(&format!(
            "cd {0} && mount --bind inner nested/below && mount --bind shared shared && mount --make-shared shared &&
             cp /bin/busybox template/bin/ && for a in awk cat chmod cut echo env false grep head hostname id ionice kill linux32 linux64 ls mkdir nproc ps pwd readlink seq sh sleep sort stat tail test touch tr true umask uname wc; do [ $a = busybox ] || ln -s busybox template/bin/$a; done &&
             cd template && mkdir -p proc sys dev tmp etc opt/tools target srv data && ln -s target link &&
             echo root:x:0:0::/:/bin/sh > etc/passwd && echo root:x:0: > etc/group &&
             printf '#!/bin/sh\\necho found\\n' > opt/tools/only-here && chmod +x opt/tools/only-here",
            dir.path().display()
        ));
        // Namespaces to join, held by a process and by the mounts of their files.
        let holder = Command::new("unshare").args(["-n", "-i", "-u", "-C", "sleep", "1000"]).spawn().unwrap();
        let pid = holder.id();
        let own = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        while own(&pid.to_string()) == own("self") || !comm(pid).starts_with("sleep") {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        for name in ["net", "ipc", "uts", "cgroup"] {
            let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
            std::fs::write(at(&format!("ns-{name}.name")), format!("{}\n", link.display())).unwrap();
        }
        World { dir, holder }
    }

    /// A bundle for a case, in a directory of its own.
    fn bundle(&self, id: &str, case: &Case) -> PathBuf {
        let bundle = self.dir.path().join(id);
        std::fs::create_dir(&bundle).unwrap();
        sh(&format!("cp -a {}/template {}/rootfs", self.dir.path().display(), bundle.display()));
        for name in ["data", "nested", "shared"] {
            std::os::unix::fs::symlink(self.dir.path().join(name), bundle.join(name)).unwrap();
        }
        let pid = self.holder.id();
        for name in ["net", "ipc", "uts", "cgroup"] {
            std::os::unix::fs::symlink(format!("/proc/{pid}/ns/{name}"), bundle.join(format!("ns-{name}"))).unwrap();
            let file = format!("ns-{name}.name");
            std::fs::copy(self.dir.path().join(&file), bundle.join(&file)).unwrap();
        }
        let mut config = base();
        if let Some(script) = &case.sh {
            config["process"]["args"] = json!(["/bin/sh", "-c", format!("{INSIDE}{script}")]);
        }
        if let Some(patch) = &case.patch {
            merge(&mut config, patch);
        }
        let text = serde_json::to_string_pretty(&config).unwrap();
        let text = text.replace("@BUNDLE@", bundle.to_str().unwrap()).replace("@ID@", id);
        std::fs::write(bundle.join("config.json"), text).unwrap();
        bundle
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        for name in ["nested/below", "shared"] {
            let _ = Command::new("umount").arg("-l").arg(self.dir.path().join(name)).status();
        }
    }
}

fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn sh(script: &str) {
    let status = Command::new("/bin/sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

impl Runtime {
    fn command(&self, bundle: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(args).current_dir(bundle).stdin(Stdio::null());
        command
    }

    fn check(&self, world: &World, id: &str, case: &Case) -> Result<(), String> {
        let bundle = world.bundle(id, case);
        let result = if let Some(script) = &case.host {
            self.host(id, &bundle, script)
        } else if case.refused {
            self.refused(id, &bundle)
        } else {
            self.inside(id, &bundle, case)
        };
        let _ = self.command(&bundle, &["delete", "--force", id]).output();
        if result.is_ok() {
            let _ = std::fs::remove_dir_all(&bundle);
        }
        result
    }

    fn host(&self, id: &str, bundle: &Path, script: &str) -> Result<(), String> {
        let output = Command::new("/bin/sh")
            .args(["-c", &format!("{FUNCTIONS}\n{script}")])
            .current_dir(bundle)
            .env("RUNTIME", self.command.join(" "))
            .env("ID", id)
            .env("BUNDLE", bundle)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let words = || String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{}: {}", output.status, words())) }
    }

    fn refused(&self, id: &str, bundle: &Path) -> Result<(), String> {
        let created =
            self.command(bundle, &["create", id]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        if created.success() {
            return Err("it was created".to_owned());
        }
        let known = self.command(bundle, &["state", id]).output().unwrap().status.success();
        if known { Err("it was refused, and is still there".to_owned()) } else { Ok(()) }
    }

    fn inside(&self, id: &str, bundle: &Path, case: &Case) -> Result<(), String> {
        let mut command = self.command(bundle, &["run", id]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that reads nothing is gone before.
        let _ = child.stdin.take().unwrap().write_all(case.input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        let said = || format!("exit {:?}, output `{out}`, errors `{err}`", output.status.code());
        let code = case.want.is_none() || output.status.code() == Some(case.exit);
        let exact = case.want.as_ref().is_none_or(|want| out.trim_end_matches('\n') == want);
        let has = case.has.iter().all(|line| out.lines().any(|l| l.contains(line.as_str())));
        let lacks = case.lacks.iter().all(|line| !out.contains(line.as_str()));
        let errors = case.errors.iter().all(|line| err.contains(line.as_str()));
        let exit = case.exit == 0 || output.status.code() == Some(case.exit);
        if code && exact && has && lacks && errors && exit { Ok(()) } else { Err(said()) }
    }
}

fn skip() -> bool {
    if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
        eprintln!("skipped: needs root and the package busybox-static");
        return true;
    }
    false
}

fn runtime(root: &Path) -> Runtime {
    let named = std::env::var("STOCKADE_CONFORMANCE_RUNTIME");
    let command = named.unwrap_or_else(|_| format!("{} oci", env!("CARGO_BIN_EXE_stockade")));
    let mut command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    command.extend(["--root".to_owned(), root.display().to_string()]);
    Runtime { command }
}

#[test]
fn every_case_passes() {
    if skip() {
        return;
    }
    let world = World::new();
    let runtime = runtime(&world.dir.path().join("state"));
    let only = std::env::var("STOCKADE_CONFORMANCE_CASE").ok();
    let cases: Vec<(&str, Case)> = FILES
        .iter()
        .flat_map(|(section, text)| read(text).into_iter().map(move |case| (*section, case)))
        .filter(|(_, case)| only.as_ref().is_none_or(|only| case.name.contains(only.as_str())))
        .collect();
    assert!(only.is_some() || cases.len() >= 150, "{}", cases.len());
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<(), String>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((_, case)) = cases.get(at) else { break };
                    let result = runtime.check(&world, &format!("c{}-{at}", std::process::id()), case);
                    results.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(at, _)| *at);
    if let Ok(path) = std::env::var("STOCKADE_CONFORMANCE_RESULTS") {
        let lines = results.iter().fold(String::new(), |mut text, (at, result)| {
            let (section, case) = &cases[*at];
            let _ = writeln!(text, "{}\t{section}\t{}\t{}", u8::from(result.is_ok()), case.spec, case.name);
            text
        });
        std::fs::write(path, lines).unwrap();
    }
    let failed: Vec<String> = results
        .iter()
        .filter_map(|(at, result)| result.as_ref().err().map(|why| format!("{}: {why}", cases[*at].1.name)))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), results.len(), failed.join("\n"));
}
