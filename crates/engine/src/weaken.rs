//! What an option gives away, in one line: for stderr, for `inspect`, and for policy to refuse.

use std::path::{Component, Path, PathBuf};

use crate::request::CreateRequest;
use crate::spec::{MountType, SeccompChoice, Shared};
use crate::{Level, NetMode};

/// Capabilities that are as good as root on the host when held outside a user namespace, and give away isolation
/// inside one (capabilities(7)).
const STRONG: &[&str] = &[
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
    "NET_ADMIN",
    "BPF",
    "PERFMON",
    "SYS_BOOT",
    "SYS_TIME",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "SYSLOG",
    "CHECKPOINT_RESTORE",
];

/// Host paths whose mount gives the host away: path, and what it gives.
const SENSITIVE: &[(&str, &str)] = &[
    ("/", "the whole host file system"),
    ("/etc", "the host's configuration and password hashes"),
    ("/root", "the host administrator's files and keys"),
    ("/boot", "the host's kernel"),
    ("/dev", "the host's devices"),
    ("/proc", "the host's processes"),
    ("/sys", "the host's kernel objects"),
    ("/usr", "the host's programs"),
    ("/lib", "the host's libraries"),
    ("/bin", "the host's programs"),
    ("/sbin", "the host's programs"),
    ("/var", "the host's state"),
    ("/var/lib", "the host's state"),
    ("/var/lib/docker", "docker's images and containers"),
    ("/run", "the host's sockets"),
    ("/var/run", "the host's sockets"),
    ("/var/run/docker.sock", "docker, and with it root on the host"),
    ("/run/docker.sock", "docker, and with it root on the host"),
    ("/run/containerd/containerd.sock", "containerd, and with it root on the host"),
    ("/run/podman/podman.sock", "podman, and with it its user's rights on the host"),
    ("/run/crio/crio.sock", "CRI-O, and with it root on the host"),
    ("/run/systemd/private", "systemd, and with it root on the host"),
    ("/home", "every user's files and keys"),
];

/// Every option of the request that gives something away, in a fixed order.
pub(crate) fn weakened(request: &CreateRequest, own_state: &[&Path]) -> Vec<String> {
    let mut lines = Vec::new();
    if request.level == Level::Compat {
        lines.push("--confine compat: root in the container is root on the host, with docker's 14 capabilities".into());
    }
    if request.privileged {
        lines.push(
            "--privileged: all capabilities and devices, no system call filter, no user namespace: this is root on the host".into(),
        );
    }
    for name in &request.cap_add {
        let plain = plain_capability(name);
        if STRONG.contains(&plain.as_str()) {
            lines.push(format!(
                "--cap-add {name}: enough to take over what it is namespaced to, and much of the kernel's surface"
            ));
        }
    }
    if request.seccomp == SeccompChoice::Unconfined {
        lines.push("--security-opt seccomp=unconfined: every system call of the kernel can be attacked".into());
    }
    if let Some((name, _)) = &request.seccomp_profile {
        lines.push(format!("--security-opt seccomp={name}: this profile replaces the level's system call filter"));
    }
    if request.no_new_privileges == Some(false) && request.level != Level::Compat {
        lines.push("--security-opt no-new-privileges=false: set-user-id programs gain rights".into());
    }
    if request.system_paths_open {
        lines.push(
            "--security-opt systempaths=unconfined: kernel settings and memory maps in /proc and /sys are visible"
                .into(),
        );
    }
    if request.userns_host && request.level != Level::Compat && !request.privileged {
        lines.push("--userns host: root in the container is root on the host".into());
    }
    namespaces(request, &mut lines);
    for mount in request.mounts.iter().filter(|m| m.kind == MountType::Bind) {
        if let Some(what) = gives_away(Path::new(&mount.source), own_state) {
            let mode = if mount.readonly { "reads" } else { "reads and writes" };
            lines.push(format!("mount of {}: the container {mode} {what}", mount.source));
        }
        if matches!(mount.propagation.as_str(), "shared" | "rshared") {
            lines.push(format!("mount of {}: mounts made in the container appear on the host", mount.source));
        }
    }
    for (host, _, _) in &request.devices {
        lines.push(format!("--device {host}: direct access to a device of the host"));
    }
    if stockade_sandbox::rootless::active().is_some() {
        // What root gives away there is only what its user has.
        for line in &mut lines {
            *line = line.replace("is root on the host", "has its user's rights on the host");
        }
    }
    lines
}

fn namespaces(request: &CreateRequest, lines: &mut Vec<String>) {
    if request.pid == Shared::Host {
        lines.push("--pid host: every process of the host is visible".into());
    }
    if request.ipc == Shared::Host {
        lines.push("--ipc host: shared memory of the host's programs is open".into());
    }
    if request.uts_host {
        lines.push("--uts host: the host's name is shared".into());
    }
    if request.cgroupns_host {
        lines.push("--cgroupns host: the host's control groups are visible".into());
    }
    if request.network == Some(NetMode::Host) {
        lines
            .push("--network host: the host's interfaces, loopback services and abstract sockets are reachable".into());
    }
}

/// `CAP_SYS_ADMIN`, `sys_admin` and `SYS_ADMIN` are one.
fn plain_capability(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
}

/// What a mount of `source` gives away, if anything: compared by its real path, so that a link hides nothing.
fn gives_away(source: &Path, own_state: &[&Path]) -> Option<&'static str> {
    let real = std::fs::canonicalize(source).unwrap_or_else(|_| lexical(source));
    let written = lexical(source);
    for (path, what) in SENSITIVE {
        let path = Path::new(path);
        if real == path || written == path {
            return Some(what);
        }
    }
    own_state
        .iter()
        .any(|state| state.starts_with(&real))
        .then_some("stockade's own state, and with it every container")
}

fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MountSpec;

    fn lines(request: &CreateRequest) -> Vec<String> {
        weakened(request, &[Path::new("/var/lib/stockade")])
    }

    #[test]
    fn the_default_gives_nothing_away() {
        assert!(lines(&CreateRequest::default()).is_empty());
        let harmless = CreateRequest { cap_add: vec!["NET_BIND_SERVICE".into()], ..CreateRequest::default() };
        assert!(lines(&harmless).is_empty());
    }

    #[test]
    fn each_weakening_option_is_named() {
        let bind = |source: &str| MountSpec { source: source.into(), target: "/x".into(), ..MountSpec::default() };
        let cases: Vec<(CreateRequest, &str)> = vec![
            (CreateRequest { privileged: true, ..Default::default() }, "--privileged"),
            (CreateRequest { cap_add: vec!["cap_sys_admin".into()], ..Default::default() }, "--cap-add cap_sys_admin"),
            (CreateRequest { mounts: vec![bind("/")], ..Default::default() }, "mount of /"),
            (CreateRequest { mounts: vec![bind("/tmp/../etc/")], ..Default::default() }, "configuration"),
            (CreateRequest { mounts: vec![bind("/var/run/docker.sock")], ..Default::default() }, "docker"),
            (CreateRequest { pid: Shared::Host, ..Default::default() }, "--pid host"),
            (CreateRequest { network: Some(NetMode::Host), ..Default::default() }, "--network host"),
            (CreateRequest { seccomp: SeccompChoice::Unconfined, ..Default::default() }, "seccomp=unconfined"),
            (CreateRequest { level: Level::Compat, ..Default::default() }, "--confine compat"),
        ];
        for (request, words) in cases {
            let lines = lines(&request);
            assert!(lines.len() == 1 && lines[0].contains(words), "{words}: {lines:?}");
        }
    }

    #[test]
    fn a_mount_above_our_own_state_gives_everything_away() {
        assert!(gives_away(Path::new("/var/lib/stockade/.."), &[Path::new("/var/lib/stockade")]).is_some());
        assert!(gives_away(Path::new("/srv"), &[Path::new("/srv/state")]).is_some());
        assert!(gives_away(Path::new("/srv/www"), &[Path::new("/srv/state")]).is_none());
    }
}
