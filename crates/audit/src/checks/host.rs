//! Section 1 of the benchmark: the host.

use std::path::Path;

use serde_json::Value;

use super::daemon_files::CONTAINERD_SOCKETS;
use super::{HostCheck, shown};
use crate::docker::facts::DockerFacts;
use crate::host::Host;
use crate::model::Degree::{Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

meta_of!(Host, (level: u8, effort: Degree), level: level, effort: effort, risk: Low);

macro_rules! audited {
    ($id:literal, $r:literal, $path:literal) => {
        HostCheck {
            meta: meta(
                $id,
                &[$r],
                2,
                Low,
                concat!("The kernel's audit watches ", $path),
                "Without a record nobody can tell later who changed what the daemon runs with.",
                concat!("Add -w ", $path, " -k docker to a file in /etc/audit/rules.d, then run augenrules --load."),
            ),
            test: |h, d| audit_rule(h, d, $id),
        }
    };
}

/// Where the thing may be that a check wants watched; the first that exists counts.
pub(crate) fn watched_paths(id: &str, docker: Option<&DockerFacts>) -> Vec<String> {
    let unit = |name: &str| {
        ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
            .iter()
            .map(|d| format!("{d}/{name}"))
            .collect()
    };
    let program =
        |name: &str| ["/usr/bin", "/usr/sbin", "/usr/local/bin"].iter().map(|d| format!("{d}/{name}")).collect();
    let one = |path: &str| vec![path.to_owned()];
    match id {
        "dockerd-not-audited" => program("dockerd"),
        "run-containerd-not-audited" => one("/run/containerd"),
        "data-root-not-audited" => vec![data_root(docker)],
        "etc-docker-not-audited" => one("/etc/docker"),
        "docker-service-not-audited" => unit("docker.service"),
        "containerd-socket-not-audited" => CONTAINERD_SOCKETS.iter().map(|&s| s.to_owned()).collect(),
        "docker-socket-not-audited" => unit("docker.socket"),
        "default-docker-not-audited" => one("/etc/default/docker"),
        "daemon-json-not-audited" => one("/etc/docker/daemon.json"),
        "containerd-config-not-audited" => one("/etc/containerd/config.toml"),
        "sysconfig-docker-not-audited" => one("/etc/sysconfig/docker"),
        "containerd-not-audited" => program("containerd"),
        "shim-not-audited" => program("containerd-shim"),
        "shim-runc-v1-not-audited" => program("containerd-shim-runc-v1"),
        "shim-runc-v2-not-audited" => program("containerd-shim-runc-v2"),
        "runc-not-audited" => program("runc"),
        _ => Vec::new(),
    }
}

fn data_root(docker: Option<&DockerFacts>) -> String {
    let info = docker.and_then(|d| d.info.as_ref().ok());
    let root = info.and_then(|i| i.get("DockerRootDir")).and_then(Value::as_str);
    root.unwrap_or("/var/lib/docker").to_owned()
}

/// All checks of this section.
#[rustfmt::skip]
pub(crate) static CHECKS: &[HostCheck] = &[
    HostCheck {
        meta: meta("no-own-partition", &["CIS-1.1.1"], 1, Medium, "Docker's data is on a partition of its own",
            "Images and logs that fill the disk stop the host.", "Move the data root to a file system of its own."),
        test: own_partition,
    },
    HostCheck {
        meta: meta("docker-group-members", &["CIS-1.1.2"], 1, Low, "Only trusted users are in group docker",
            "Every member of the group is root on the host.", "Take users out: gpasswd -d USER docker."),
        test: docker_group,
    },
    audited!("dockerd-not-audited", "CIS-1.1.3", "dockerd"),
    audited!("run-containerd-not-audited", "CIS-1.1.4", "/run/containerd"),
    audited!("data-root-not-audited", "CIS-1.1.5", "docker's data root"),
    audited!("etc-docker-not-audited", "CIS-1.1.6", "/etc/docker"),
    audited!("docker-service-not-audited", "CIS-1.1.7", "docker.service"),
    audited!("containerd-socket-not-audited", "CIS-1.1.8", "containerd's socket"),
    audited!("docker-socket-not-audited", "CIS-1.1.9", "docker.socket"),
    audited!("default-docker-not-audited", "CIS-1.1.10", "/etc/default/docker"),
    audited!("daemon-json-not-audited", "CIS-1.1.11", "/etc/docker/daemon.json"),
    audited!("containerd-config-not-audited", "CIS-1.1.12", "/etc/containerd/config.toml"),
    audited!("sysconfig-docker-not-audited", "CIS-1.1.13", "/etc/sysconfig/docker"),
    audited!("containerd-not-audited", "CIS-1.1.14", "containerd"),
    audited!("shim-not-audited", "CIS-1.1.15", "containerd-shim"),
    audited!("shim-runc-v1-not-audited", "CIS-1.1.16", "containerd-shim-runc-v1"),
    audited!("shim-runc-v2-not-audited", "CIS-1.1.17", "containerd-shim-runc-v2"),
    audited!("runc-not-audited", "CIS-1.1.18", "runc"),
    HostCheck {
        meta: meta("host-hardening", &["CIS-1.2.1"], 1, Medium, "The host is hardened",
            "Containers share the host's kernel: its weaknesses are theirs.", "Go through your distribution's hardening guide."),
        test: |h, _| Verdict::manual(format!("operating system: {}", os_name(h))),
    },
    HostCheck {
        meta: meta("docker-version", &["CIS-1.2.2"], 1, Medium, "Docker is current",
            "An old engine lacks fixes of known holes.", "Update docker."),
        test: |_, d| match d.map(|d| d.version.as_ref()) {
            None => Verdict::not_applicable("no docker daemon"),
            Some(Err(why)) => Verdict::unknown(why.clone()),
            Some(Ok(v)) => Verdict::manual(format!("server version {}", shown(v.get("Version")))),
        },
    },
];

fn own_partition(host: &Host, docker: Option<&DockerFacts>) -> Verdict {
    let Some(docker) = docker else { return Verdict::not_applicable("no docker daemon") };
    let mut root = match docker.info.as_ref() {
        Err(_) if !host.is_live() => {
            return Verdict::not_applicable("mounts are of a running host, and this is a host image");
        }
        Err(why) => return Verdict::unknown(why.clone()),
        Ok(info) => info.get("DockerRootDir").and_then(Value::as_str).unwrap_or("/var/lib/docker").to_owned(),
    };
    // With userns-remap the root is a directory UID.GID inside the data root.
    if docker.security_options().is_some_and(|o| o.iter().any(|s| s.contains("name=userns")))
        && let Some(parent) = Path::new(&root).parent()
    {
        root = parent.to_string_lossy().into_owned();
    }
    let path = Path::new(&root);
    let device = |p: &Path| host.stat(p).map(|f| f.map(|f| f.device));
    match (device(path), path.parent().map_or(Ok(None), device)) {
        (Ok(Some(a)), Ok(Some(b))) => Verdict::of(
            a != b,
            format!("{root}: {}", if a != b { "a mount point" } else { "same file system as its parent" }),
        ),
        (Err(why), _) | (_, Err(why)) => Verdict::unknown(format!("{root}: {why}")),
        _ => Verdict::not_applicable(format!("{root} does not exist")),
    }
}

fn docker_group(host: &Host, _: Option<&DockerFacts>) -> Verdict {
    match host.read_text(Path::new("/etc/group")) {
        Err(why) => Verdict::unknown(format!("/etc/group: {why}")),
        Ok(None) => Verdict::unknown("/etc/group does not exist"),
        Ok(Some(text)) => {
            for (i, line) in text.lines().enumerate() {
                if let Some(rest) = line.strip_prefix("docker:") {
                    let members = rest.rsplit(':').next().unwrap_or("");
                    return Verdict::of(
                        members.is_empty(),
                        format!("/etc/group:{}: members: {}", i + 1, if members.is_empty() { "none" } else { members }),
                    );
                }
            }
            Verdict::pass("/etc/group: no group docker")
        }
    }
}

fn os_name(host: &Host) -> String {
    let text = host.read_text(Path::new("/etc/os-release")).ok().flatten().unwrap_or_default();
    text.lines()
        .find_map(|l| l.strip_prefix("PRETTY_NAME="))
        .map_or_else(|| "not known".to_owned(), |n| n.trim_matches('"').to_owned())
}

/// The first of the places of a check that exists.
pub(crate) fn existing(host: &Host, id: &str, docker: Option<&DockerFacts>) -> Option<String> {
    watched_paths(id, docker).into_iter().find(|p| matches!(host.stat(Path::new(p)), Ok(Some(_))))
}

/// Looks for a rule on what a check wants watched: in the kernel where it tells its loaded rules, else in the files that
/// auditd loads at boot. A rule on a directory covers what is below (auditctl(8)).
fn audit_rule(host: &Host, docker: Option<&DockerFacts>, id: &str) -> Verdict {
    let Some(path) = existing(host, id, docker) else {
        return Verdict::not_applicable(format!("{} does not exist", watched_paths(id, docker).join(", ")));
    };
    let in_files = rule_in_files(host, &path);
    match host.loaded_audit_rules() {
        Ok(rules) => match rules.iter().find(|r| covers(&r.path, &path)) {
            Some(rule) => Verdict::pass(format!("loaded in the kernel: a rule on {}", rule.path)),
            None => match in_files {
                Ok(Some(line)) => {
                    Verdict::fail(format!("{line}: written, but not loaded in the kernel: run augenrules --load"))
                }
                Ok(None) => Verdict::fail(format!("{} rules are loaded in the kernel, none on {path}", rules.len())),
                Err(why) => Verdict::unknown(why),
            },
        },
        Err(unasked) => match in_files {
            Err(why) => Verdict::unknown(why),
            Ok(Some(line)) => Verdict::pass(line),
            Ok(None) => Verdict::fail(format!("no file in /etc/audit has a rule on {path} ({unasked})")),
        },
    }
}

/// The line of a rule in auditd's files.
pub(crate) fn rule_in_files(host: &Host, path: &str) -> Result<Option<String>, String> {
    let mut files = vec![Path::new("/etc/audit/audit.rules").to_owned()];
    files.extend(
        host.files_below(Path::new("/etc/audit/rules.d"))
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e == "rules")),
    );
    for file in files {
        let text = host.read_text(&file).map_err(|why| format!("{}: {why}", file.display()))?.unwrap_or_default();
        for (i, line) in text.lines().enumerate() {
            if watches(line, path) {
                return Ok(Some(format!("{}:{}: {}", file.display(), i + 1, line.trim())));
            }
        }
    }
    Ok(None)
}

/// Whether a rule on `watched` sees `path`: the same, or a directory above it.
fn covers(watched: &str, path: &str) -> bool {
    let (watched, path) = (watched.trim_end_matches('/'), path.trim_end_matches('/'));
    path.strip_prefix(watched).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `-w PATH …`, `-a … -F path=PATH` or `-F dir=PATH` (auditctl(8)); comments do not count.
fn watches(line: &str, path: &str) -> bool {
    let line = line.trim();
    if line.starts_with('#') {
        return false;
    }
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let (named, exact) = match word {
            "-w" => (words.peek().copied(), false),
            "-F" => match words.peek().and_then(|w| w.split_once('=')) {
                Some(("path", p)) => (Some(p), true),
                Some(("dir", p)) => (Some(p), false),
                _ => (None, true),
            },
            _ => (None, true),
        };
        if named.is_some_and(|n| if exact { n.trim_end_matches('/') == path } else { covers(n, path) }) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let host = Host::at(dir.path()).unwrap();
        (dir, host)
    }

    #[test]
    fn a_rule_counts_only_for_its_own_path() {
        let rules =
            "# -w /etc/docker\n-w /etc/docker/ -p wa -k docker\n-a always,exit -F path=/usr/bin/runc -F perm=x\n";
        let (_dir, host) = host(&[
            ("etc/audit/rules.d/d.rules", rules),
            ("etc/docker/daemon.json", ""),
            ("usr/bin/runc", ""),
            ("usr/bin/containerd", ""),
        ]);
        assert_eq!(
            audit_rule(&host, None, "etc-docker-not-audited").evidence,
            "/etc/audit/rules.d/d.rules:2: -w /etc/docker/ -p wa -k docker"
        );
        assert_eq!(audit_rule(&host, None, "runc-not-audited").answer, Answer::Pass);
        assert_eq!(audit_rule(&host, None, "containerd-not-audited").answer, Answer::Fail);
        assert_eq!(audit_rule(&host, None, "dockerd-not-audited").answer, Answer::NotApplicable);
        // A watch on a directory sees what is below, but not a neighbour with the same beginning.
        assert_eq!(audit_rule(&host, None, "daemon-json-not-audited").answer, Answer::Pass);
        assert!(!covers("/etc/dock", "/etc/docker") && covers("/etc/docker/", "/etc/docker/a"));
    }

    #[test]
    fn group_members_are_named_with_their_line() {
        let (_dir, h) = host(&[("etc/group", "root:x:0:\ndocker:x:99:eve,bob\n")]);
        assert_eq!(docker_group(&h, None), Verdict::fail("/etc/group:2: members: eve,bob"));
        let (_dir, h) = host(&[("etc/group", "docker:x:99:\n")]);
        assert_eq!(docker_group(&h, None).answer, Answer::Pass);
        let (_dir, h) = host(&[]);
        assert_eq!(docker_group(&h, None).answer, Answer::Unknown);
    }
}
