//! Section 3 of the benchmark: owners and modes of the daemon's files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::HostCheck;
use crate::docker::facts::DockerFacts;
use crate::host::{FileFacts, Host};
use crate::model::Degree::Low;
use crate::model::{Meta, Section, Verdict};

/// Where a file is looked for; the first place that exists counts.
enum Place {
    Paths(&'static [&'static str]),
    /// All files below a directory.
    Below(&'static str),
    /// A file that a daemon setting names (flag and key are the same), with docker's default place.
    Setting(&'static str, &'static str),
}

const SERVICE: Place = Place::Paths(&[
    "/etc/systemd/system/docker.service",
    "/usr/lib/systemd/system/docker.service",
    "/lib/systemd/system/docker.service",
]);
const SOCKET_UNIT: Place = Place::Paths(&[
    "/etc/systemd/system/docker.socket",
    "/usr/lib/systemd/system/docker.socket",
    "/lib/systemd/system/docker.socket",
]);
const CONFIG_DIR: Place = Place::Paths(&["/etc/docker"]);
const CERTIFICATES: Place = Place::Below("/etc/docker/certs.d");
const CA: Place = Place::Setting("tlscacert", "/root/.docker/ca.pem");
const CERTIFICATE: Place = Place::Setting("tlscert", "/root/.docker/cert.pem");
const KEY: Place = Place::Setting("tlskey", "/root/.docker/key.pem");
const SOCKET: Place = Place::Paths(&["/run/docker.sock", "/var/run/docker.sock"]);
const DAEMON_JSON: Place = Place::Paths(&["/etc/docker/daemon.json"]);
const DEFAULTS: Place = Place::Paths(&["/etc/default/docker"]);
const SYSCONFIG: Place = Place::Paths(&["/etc/sysconfig/docker"]);
const CONTAINERD_SOCKET: Place = Place::Paths(&["/run/containerd/containerd.sock"]);

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
            test: |h, d| {
                each(h, d, &$place, |f| (f.user == $user && f.group == $group, format!("{}:{}", f.user, f.group)))
            },
        }
    };
}

macro_rules! mode {
    ($id:literal, $r:literal, $place:expr, $mode:literal) => {
        HostCheck {
            meta: meta($id, &[$r], concat!("mode ", $mode, " or tighter"), concat!("chmod ", $mode, " the file.")),
            test: |h, d| {
                let allowed = u32::from_str_radix($mode, 8).unwrap_or(0);
                each(h, d, &$place, |f| (f.mode & !allowed == 0, format!("{:03o}", f.mode)))
            },
        }
    };
}

/// All checks of this section.
#[rustfmt::skip]
pub(super) static CHECKS: &[HostCheck] = &[
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
                if !matches!(place, Place::Below(_)) {
                    break;
                }
            }
        }
    }
    if seen.is_empty() { Verdict::not_applicable("there is no such file") } else { Verdict::of(good, seen.join(", ")) }
}

fn paths(host: &Host, docker: Option<&DockerFacts>, place: &Place) -> Vec<PathBuf> {
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
