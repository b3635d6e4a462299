//! Section 3 of the benchmark: owners and modes of the daemon's files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{HostCheck, containerd, podman};
use crate::docker::facts::DockerFacts;
use crate::host::{FileFacts, Host};
use crate::model::Degree::Low;
use crate::model::{Meta, Section, Verdict};

/// Where a file is looked for; the first place that exists counts.
pub(crate) enum Place {
    Paths(&'static [&'static str]),
    /// All files below a directory.
    Below(&'static str),
    /// A file that a daemon setting names (flag and key are the same), with docker's default place.
    Setting(&'static str, &'static str),
}

impl Place {
    /// Whether all files of the place count, not the first alone.
    pub(crate) fn is_many(&self) -> bool {
        matches!(self, Place::Below(_))
    }
}

static SERVICE: Place = Place::Paths(&[
    "/etc/systemd/system/docker.service",
    "/usr/lib/systemd/system/docker.service",
    "/lib/systemd/system/docker.service",
]);
static SOCKET_UNIT: Place = Place::Paths(&[
    "/etc/systemd/system/docker.socket",
    "/usr/lib/systemd/system/docker.socket",
    "/lib/systemd/system/docker.socket",
]);
static CONFIG_DIR: Place = Place::Paths(&["/etc/docker"]);
static CERTIFICATES: Place = Place::Below("/etc/docker/certs.d");
static CA: Place = Place::Setting("tlscacert", "/root/.docker/ca.pem");
static CERTIFICATE: Place = Place::Setting("tlscert", "/root/.docker/cert.pem");
static KEY: Place = Place::Setting("tlskey", "/root/.docker/key.pem");
static SOCKET: Place = Place::Paths(&["/run/docker.sock", "/var/run/docker.sock"]);
static DAEMON_JSON: Place = Place::Paths(&["/etc/docker/daemon.json"]);
static DEFAULTS: Place = Place::Paths(&["/etc/default/docker"]);
static SYSCONFIG: Place = Place::Paths(&["/etc/sysconfig/docker"]);
/// The service's, and that of the containerd that dockerd starts for itself.
pub(super) const CONTAINERD_SOCKETS: &[&str] =
    &["/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"];
static CONTAINERD_SOCKET: Place = Place::Paths(CONTAINERD_SOCKETS);

const fn meta(id: &'static str, refs: &'static [&'static str], title: &'static str, fix: &'static str) -> Meta {
    Meta {
        id,
        refs,
        section: Section::DaemonFiles,
        title,
        why: "Who can change this file, or read it where it is a key, controls the daemon, and the daemon is root.",
        fix,
        level: 1,
        effort: Low,
        risk: Low,
    }
}

macro_rules! owner {
    ($id:literal, $r:literal, $place:expr, $user:literal, $group:literal) => {
        HostCheck {
            meta: meta(
                $id,
                &[$r],
                concat!("owned by ", $user, ":", $group),
                concat!("chown ", $user, ":", $group, " the file."),
            ),
            test: |h, d| owned_by(h, d, &$place, $user, $group),
        }
    };
}

macro_rules! mode {
    ($id:literal, $r:literal, $place:expr, $mode:literal) => {
        HostCheck {
            meta: meta($id, &[$r], concat!("mode ", $mode, " or tighter"), concat!("chmod ", $mode, " the file.")),
            test: |h, d| mode_within(h, d, &$place, u32::from_str_radix($mode, 8).unwrap_or(0)),
        }
    };
}

/// All checks of this section.
#[rustfmt::skip]
pub(crate) static CHECKS: &[HostCheck] = &[
    owner!("docker-service-owner", "CIS-3.1", SERVICE, "root", "root"),
    mode!("docker-service-mode", "CIS-3.2", SERVICE, "644"),
    owner!("docker-socket-unit-owner", "CIS-3.3", SOCKET_UNIT, "root", "root"),
    mode!("docker-socket-unit-mode", "CIS-3.4", SOCKET_UNIT, "644"),
    owner!("etc-docker-owner", "CIS-3.5", CONFIG_DIR, "root", "root"),
    mode!("etc-docker-mode", "CIS-3.6", CONFIG_DIR, "755"),
    owner!("registry-certificate-owner", "CIS-3.7", CERTIFICATES, "root", "root"),
    mode!("registry-certificate-mode", "CIS-3.8", CERTIFICATES, "444"),
    owner!("ca-certificate-owner", "CIS-3.9", CA, "root", "root"),
    mode!("ca-certificate-mode", "CIS-3.10", CA, "444"),
    owner!("server-certificate-owner", "CIS-3.11", CERTIFICATE, "root", "root"),
    mode!("server-certificate-mode", "CIS-3.12", CERTIFICATE, "444"),
    owner!("server-key-owner", "CIS-3.13", KEY, "root", "root"),
    mode!("server-key-mode", "CIS-3.14", KEY, "400"),
    owner!("docker-socket-owner", "CIS-3.15", SOCKET, "root", "docker"),
    mode!("docker-socket-mode", "CIS-3.16", SOCKET, "660"),
    owner!("daemon-json-owner", "CIS-3.17", DAEMON_JSON, "root", "root"),
    mode!("daemon-json-mode", "CIS-3.18", DAEMON_JSON, "644"),
    owner!("default-docker-owner", "CIS-3.19", DEFAULTS, "root", "root"),
    mode!("default-docker-mode", "CIS-3.20", DEFAULTS, "644"),
    mode!("sysconfig-docker-mode", "CIS-3.21", SYSCONFIG, "644"),
    owner!("sysconfig-docker-owner", "CIS-3.22", SYSCONFIG, "root", "root"),
    owner!("containerd-socket-owner", "CIS-3.23", CONTAINERD_SOCKET, "root", "root"),
    mode!("containerd-socket-mode", "CIS-3.24", CONTAINERD_SOCKET, "660"),
];

/// Whether the files of a place belong to a user and a group.
pub(crate) fn owned_by(host: &Host, docker: Option<&DockerFacts>, place: &Place, user: &str, group: &str) -> Verdict {
    each(host, docker, place, |f| (f.user == user && f.group == group, format!("{}:{}", f.user, f.group)))
}

/// Whether the files of a place have no bit beyond `allowed`.
pub(crate) fn mode_within(host: &Host, docker: Option<&DockerFacts>, place: &Place, allowed: u32) -> Verdict {
    each(host, docker, place, |f| (f.mode & !allowed == 0, format!("{:03o}", f.mode)))
}

/// What a fix of owner or mode does: the place, and the owner and group or the mode that pass.
pub(crate) enum Wanted {
    Owner(&'static str, &'static str),
    Mode(u32),
}

/// What each check of this section and of other sections' files wants, by id.
pub(crate) fn wanted(id: &str) -> Option<(&'static Place, Wanted)> {
    let (place, wanted) = match id {
        "docker-service-owner" => (&SERVICE, Wanted::Owner("root", "root")),
        "docker-service-mode" => (&SERVICE, Wanted::Mode(0o644)),
        "docker-socket-unit-owner" => (&SOCKET_UNIT, Wanted::Owner("root", "root")),
        "docker-socket-unit-mode" => (&SOCKET_UNIT, Wanted::Mode(0o644)),
        "etc-docker-owner" => (&CONFIG_DIR, Wanted::Owner("root", "root")),
        "etc-docker-mode" => (&CONFIG_DIR, Wanted::Mode(0o755)),
        "registry-certificate-owner" => (&CERTIFICATES, Wanted::Owner("root", "root")),
        "registry-certificate-mode" => (&CERTIFICATES, Wanted::Mode(0o444)),
        "ca-certificate-owner" => (&CA, Wanted::Owner("root", "root")),
        "ca-certificate-mode" => (&CA, Wanted::Mode(0o444)),
        "server-certificate-owner" => (&CERTIFICATE, Wanted::Owner("root", "root")),
        "server-certificate-mode" => (&CERTIFICATE, Wanted::Mode(0o444)),
        "server-key-owner" => (&KEY, Wanted::Owner("root", "root")),
        "server-key-mode" => (&KEY, Wanted::Mode(0o400)),
        "docker-socket-owner" => (&SOCKET, Wanted::Owner("root", "docker")),
        "docker-socket-mode" => (&SOCKET, Wanted::Mode(0o660)),
        "daemon-json-owner" => (&DAEMON_JSON, Wanted::Owner("root", "root")),
        "daemon-json-mode" => (&DAEMON_JSON, Wanted::Mode(0o644)),
        "default-docker-owner" => (&DEFAULTS, Wanted::Owner("root", "root")),
        "default-docker-mode" => (&DEFAULTS, Wanted::Mode(0o644)),
        "sysconfig-docker-owner" => (&SYSCONFIG, Wanted::Owner("root", "root")),
        "sysconfig-docker-mode" => (&SYSCONFIG, Wanted::Mode(0o644)),
        "containerd-socket-owner" => (&CONTAINERD_SOCKET, Wanted::Owner("root", "root")),
        "containerd-socket-mode" => (&CONTAINERD_SOCKET, Wanted::Mode(0o660)),
        "containerd-service-owner" => (&containerd::SERVICE, Wanted::Owner("root", "root")),
        "containerd-service-mode" => (&containerd::SERVICE, Wanted::Mode(0o644)),
        "containerd-config-owner" => (&containerd::CONFIG_FILE, Wanted::Owner("root", "root")),
        "containerd-config-mode" => (&containerd::CONFIG_FILE, Wanted::Mode(0o644)),
        "containerd-state-mode" => (&containerd::STATE, Wanted::Mode(0o711)),
        "containerd-root-mode" => (&containerd::ROOT, Wanted::Mode(0o711)),
        "podman-socket-owner" => (&podman::SOCKET, Wanted::Owner("root", "root")),
        "podman-socket-mode" => (&podman::SOCKET, Wanted::Mode(0o660)),
        _ => return None,
    };
    Some((place, wanted))
}

/// Tests every file of a place; the evidence names each with what was seen.
fn each(
    host: &Host,
    docker: Option<&DockerFacts>,
    place: &Place,
    test: impl Fn(&FileFacts) -> (bool, String),
) -> Verdict {
    let paths = paths(host, docker, place);
    let (mut good, mut seen) = (true, Vec::new());
    for path in paths {
        match host.stat(&path) {
            Err(why) => return Verdict::unknown(format!("{}: {why}", path.display())),
            Ok(None) => {}
            Ok(Some(facts)) => {
                let (ok, what) = test(&facts);
                good &= ok;
                seen.push(format!("{}: {what}", path.display()));
                if !place.is_many() {
                    break;
                }
            }
        }
    }
    if seen.is_empty() { Verdict::not_applicable("there is no such file") } else { Verdict::of(good, seen.join(", ")) }
}

/// Where the files of a place are; the first that exists counts, but all of those below a directory.
pub(crate) fn paths(host: &Host, docker: Option<&DockerFacts>, place: &Place) -> Vec<PathBuf> {
    match place {
        Place::Paths(paths) => paths.iter().map(PathBuf::from).collect(),
        Place::Below(dir) => host.files_below(Path::new(dir)),
        Place::Setting(key, default) => {
            let set = docker.and_then(|d| d.setting(key, key));
            vec![set.as_ref().and_then(|(v, _)| Value::as_str(v)).map_or_else(|| PathBuf::from(default), PathBuf::from)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;
    use std::os::unix::fs::PermissionsExt;

    fn answer(host: &Host, reference: &str) -> Answer {
        (CHECKS.iter().find(|c| c.meta.refs.contains(&reference)).unwrap().test)(host, None).answer
    }

    #[test]
    fn modes_are_compared_bit_by_bit() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/docker/certs.d/r")).unwrap();
        let file = dir.path().join("etc/docker/daemon.json");
        std::fs::write(&file, "{}").unwrap();
        let host = Host::at(dir.path()).unwrap();
        for (mode, expected) in [
            (0o644, Answer::Pass),
            (0o600, Answer::Pass),
            (0o664, Answer::Fail),
            (0o711, Answer::Fail),
            (0o4644, Answer::Fail),
        ] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(answer(&host, "CIS-3.18"), expected, "{mode:o}");
        }
        assert_eq!(answer(&host, "CIS-3.8"), Answer::NotApplicable);
        let certificate = dir.path().join("etc/docker/certs.d/r/ca.crt");
        std::fs::write(&certificate, "").unwrap();
        std::fs::set_permissions(&certificate, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(answer(&host, "CIS-3.8"), Answer::Fail);
    }

    #[test]
    fn owners_are_compared_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/docker")).unwrap();
        let host = Host::at(dir.path()).unwrap();
        // Without /etc/passwd the owner is a number and not root.
        assert_eq!(answer(&host, "CIS-3.5"), Answer::Fail);
        let me = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        std::fs::write(dir.path().join("etc/passwd"), format!("root:x:{me}:0::/:\n")).unwrap();
        std::fs::write(dir.path().join("etc/group"), format!("root:x:{group}:\n")).unwrap();
        assert_eq!(answer(&host, "CIS-3.5"), Answer::Pass);
    }
}
