//! `stockade audit docker` on a real dockerd: fourteen differently weak containers and three configurations of the daemon,
//! in namespaces of their own (mounts, network, processes), with `/etc` and `/run` covered. Nothing is left behind: when
//! the script ends, its processes and mounts end with its namespaces.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// `$1`: a directory for everything; `$2`: the binary under test.
const SCRIPT: &str = r#"
set -euo pipefail
work=$1 stockade=$2
mount --make-rprivate /
ip link set lo up
mkdir -p "$work"/{upper,overlay,shared,root/bin}
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/upper,workdir=$work/overlay" /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
mount -t tmpfs tmpfs "$work/shared"
mount --make-rshared "$work/shared"
export STOCKADE_ROOT=$work/stockade STOCKADE_RUN=/run/stockade DOCKER_HOST=unix:///run/d.sock
unset DOCKER_CONTENT_TRUST
cp "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sleep"
tar -C "$work/root" -cf "$work/root.tar" .

daemon=
start() {
  dockerd --data-root "$work/data" --exec-root /run/docker -p /run/docker.pid "$@" >>"$work/dockerd.log" 2>&1 &
  daemon=$!
  for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && return
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.1
  done
  tail -20 "$work/dockerd.log" >&2
  exit 77
}
stop() {
  ids=$(docker ps -aq)
  [ -z "$ids" ] || docker rm -f $ids >/dev/null
  kill "$daemon"
  wait "$daemon" || true
}
audit() {
  name=$1; shift
  "$stockade" audit "$@" --format json --all >"$work/$name.json" || [ $? = 3 ]
}
run() {
  name=$1; shift
  docker run -d --name "$name" "$@" weak sleep 100000 >/dev/null 2>>"$work/skipped" || { echo "$name" >>"$work/skipped-names"; docker rm -f "$name" >/dev/null 2>&1 || true; }
}
touch "$work/skipped-names"
rm -rf /etc/docker /etc/audit

# No configuration; the containers.
start -H unix:///run/d.sock
docker import -c 'CMD ["sleep","100000"]' "$work/root.tar" weak >/dev/null
docker import -c 'USER 1000' -c 'HEALTHCHECK CMD true' "$work/root.tar" good >/dev/null
run plain
run privileged --privileged
run caps --cap-add SYS_ADMIN --cap-add NET_ADMIN
run mounts -v /etc:/host-etc -v /usr:/host-usr:ro
run socket -v /run/d.sock:/var/run/docker.sock
run spaces --net host --pid host --ipc host --uts host
run ports -p 8080:81 -p 127.0.0.1:9000:82
run hardened --memory 64m --cpu-shares 512 --pids-limit 50 --read-only --user 1000 --security-opt no-new-privileges \
  --health-cmd true --restart on-failure:5
run filters --security-opt seccomp=unconfined
run always --restart always
run cgroup --cgroup-parent /weak
run propagation -v "$work/shared:/shared:rshared"
run device --device /dev/null:/dev/mine
run unlimited --cpus 0.5 --pids-limit -1
audit plain docker
audit one container caps
"$stockade" audit container caps >"$work/one.txt" || [ $? = 3 ]
# The line that the audit gives runs, and the new container has no such weakness.
line=$(sed -n '/run it again without/{n;s/^ *//;p}' "$work/one.txt")
docker rm -f caps >/dev/null
eval "$line" >/dev/null
audit again container caps
audit images image weak good
stop

# A weak file with weak modes.
mkdir -p /etc/docker
cat >/etc/docker/daemon.json <<'JSON'
{ "hosts": ["unix:///run/d.sock", "tcp://127.0.0.1:2375"], "log-level": "debug", "icc": true,
  "insecure-registries": ["r:5000"], "userland-proxy": true }
JSON
chmod 666 /etc/docker/daemon.json
start
audit weak docker
# Mended: the check passes at once, and undo brings the file back.
"$stockade" audit docker --fix CIS-3.18 --yes >/dev/null 2>&1 || [ $? = 3 ]
stat -c %a /etc/docker/daemon.json >"$work/mode"
"$stockade" audit --undo >/dev/null 2>&1
stat -c %a /etc/docker/daemon.json >>"$work/mode"
stop

# A hardened file.
cat >/etc/docker/daemon.json <<'JSON'
{ "icc": false, "log-level": "info", "live-restore": true, "userland-proxy": false, "no-new-privileges": true,
  "default-ulimits": { "nofile": { "Name": "nofile", "Soft": 1024, "Hard": 4096 } } }
JSON
chmod 644 /etc/docker/daemon.json
start -H unix:///run/d.sock
audit hard docker
stop
"#;

struct Answers(Value);

impl Answers {
    fn read(dir: &Path, name: &str) -> Answers {
        let text = std::fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
        Answers(serde_json::from_str(&text).unwrap())
    }

    /// Names of the containers (or images) that fail a check.
    fn failing(&self, reference: &str) -> BTreeSet<String> {
        self.of(reference, "fail")
    }

    fn of(&self, reference: &str, result: &str) -> BTreeSet<String> {
        let checks = self.0["checks"].as_array().unwrap().iter();
        let named =
            checks.filter(|c| c["id"] == reference || c["refs"].as_array().unwrap().iter().any(|r| r == reference));
        let found = named.filter(|c| c["result"] == result);
        found.map(|c| c["subject"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned()).collect()
    }

    fn answer(&self, reference: &str) -> &str {
        let checks = self.0["checks"].as_array().unwrap();
        let named = checks.iter().find(|c| c["refs"].as_array().unwrap().iter().any(|r| r == reference));
        named.unwrap_or_else(|| panic!("no answer for {reference}"))["result"].as_str().unwrap()
    }
}

fn have(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|d| d.join(program).is_file()))
        || Path::new("/usr/sbin").join(program).is_file()
}

#[test]
fn weak_containers_and_daemons_are_told_from_hardened_ones() {
    if !rustix_is_root() {
        eprintln!("skipped: root is needed");
        return;
    }
    if let Some(missing) = ["dockerd", "docker", "busybox", "unshare", "iptables"].iter().find(|p| !have(p)) {
        eprintln!("skipped: {missing} is missing (packages docker.io, busybox-static, iptables)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", SCRIPT, "audit"])
        .arg(dir.path())
        .arg(env!("CARGO_BIN_EXE_stockade"))
        .env_remove("DOCKER_HOST")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.code() == Some(77) {
        eprintln!("skipped: dockerd does not start here:\n{words}");
        return;
    }
    assert!(out.status.success(), "{words}\n{}", String::from_utf8_lossy(&out.stdout));
    let skipped = std::fs::read_to_string(dir.path().join("skipped-names")).unwrap();
    let skipped: BTreeSet<&str> = skipped.lines().collect();
    // A machine may lack a capability that a privileged container needs; everything else runs.
    assert!(skipped.is_subset(&BTreeSet::from(["privileged"])), "{skipped:?}");
    containers(&Answers::read(dir.path(), "plain"), &skipped);
    one_container(dir.path());
    let images = Answers::read(dir.path(), "images");
    assert!(images.failing("CIS-4.1").iter().any(|i| i.starts_with("weak")));
    assert!(images.of("CIS-4.1", "pass").iter().any(|i| i.starts_with("good")));
    assert!(images.failing("CIS-4.6").iter().all(|i| i.starts_with("weak")));
    daemons(dir.path());
    let modes = std::fs::read_to_string(dir.path().join("mode")).unwrap();
    assert_eq!(modes, "644\n666\n");
}

fn rustix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

fn containers(plain: &Answers, skipped: &BTreeSet<&str>) {
    let exactly = |reference: &str, names: &[&str]| {
        let wanted: BTreeSet<String> =
            names.iter().filter(|n| !skipped.contains(*n)).map(|n| (*n).to_owned()).collect();
        assert_eq!(plain.failing(reference), wanted, "{reference}");
    };
    exactly("privileged-container", &["privileged"]);
    exactly("host-network", &["spaces"]);
    exactly("host-pid", &["spaces"]);
    exactly("host-ipc", &["spaces"]);
    exactly("host-uts", &["spaces"]);
    exactly("docker-socket-mounted", &["socket"]);
    exactly("shared-propagation", &["propagation"]);
    exactly("foreign-cgroup", &["cgroup"]);
    exactly("unbounded-restarts", &["always"]);
    exactly("port-on-all-interfaces", &["ports"]);
    let fails = |reference: &str, name: &str| plain.failing(reference).contains(name);
    for (reference, weak) in
        [("added-capabilities", "caps"), ("sensitive-host-mount", "mounts"), ("seccomp-off", "filters")]
    {
        assert!(fails(reference, weak) && !fails(reference, "plain"), "{reference}: {:?}", plain.failing(reference));
    }
    for reference in
        ["no-memory-limit", "no-cpu-limit", "no-pids-limit", "writable-root", "may-gain-privileges", "no-health-check"]
    {
        assert!(fails(reference, "plain") && !fails(reference, "hardened"), "{reference}");
    }
    assert!(fails("no-pids-limit", "unlimited") && !fails("no-cpu-limit", "unlimited"));
}

fn one_container(dir: &Path) {
    let one = Answers::read(dir, "one");
    assert!(one.failing("added-capabilities").contains("caps"));
    let shown = std::fs::read_to_string(dir.join("one.txt")).unwrap();
    assert!(shown.contains("run it again without") && shown.contains("docker run -d --name caps"), "{shown}");
    let again = Answers::read(dir, "again");
    for check in ["added-capabilities", "cap-sys-admin", "no-memory-limit", "no-pids-limit", "writable-root"] {
        assert!(again.failing(check).is_empty(), "{check}: {shown}");
    }
}

fn daemons(dir: &Path) {
    let (plain, weak, hard) = (Answers::read(dir, "plain"), Answers::read(dir, "weak"), Answers::read(dir, "hard"));
    for (reference, answers) in [
        ("CIS-2.2", ["fail", "fail", "pass"]),
        ("CIS-2.3", ["pass", "fail", "pass"]),
        ("CIS-2.5", ["pass", "fail", "pass"]),
        ("CIS-2.7", ["not_applicable", "fail", "not_applicable"]),
        ("CIS-2.14", ["fail", "fail", "pass"]),
        ("CIS-2.15", ["fail", "fail", "pass"]),
        ("CIS-2.16", ["fail", "fail", "pass"]),
        ("CIS-3.18", ["not_applicable", "fail", "pass"]),
    ] {
        let found = [&plain, &weak, &hard].map(|a| a.answer(reference));
        assert_eq!(found, answers, "{reference}");
    }
}
