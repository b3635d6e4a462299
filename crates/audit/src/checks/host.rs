//! Section 1 of the benchmark: the host.

use std::path::Path;

use serde_json::Value;

use super::{HostCheck, shown};
use crate::docker::facts::DockerFacts;
use crate::host::Host;
use crate::model::Degree::{Low, Medium};
use crate::model::{Degree, Meta, Section, Verdict};

const fn meta(
    id: &'static str,
    refs: &'static [&'static str],
    level: u8,
    effort: Degree,
    title: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Meta {
    Meta { id, refs, section: Section::Host, title, why, fix, level, effort, risk: Low }
}

macro_rules! audited {
    ($id:literal, $r:literal, $($path:literal),+) => {
        HostCheck {
            meta: meta($id, &[$r], 2, Low, concat!("auditd watches ", $($path, " "),+),
                "Without a record nobody can tell later who changed what the daemon runs with.",
                concat!("Add to /etc/audit/rules.d/docker.rules: ", $("-w ", $path, " -k docker; "),+, "then run augenrules --load.")),
            test: |h, _| audit_rule(h, &[$($path),+]),
        }
    };
}

/// All checks of this section.
#[rustfmt::skip]
pub(super) static CHECKS: &[HostCheck] = &[
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
    audited!("dockerd-not-audited", "CIS-1.1.3", "/usr/bin/dockerd", "/usr/sbin/dockerd"),
    audited!("run-containerd-not-audited", "CIS-1.1.4", "/run/containerd"),
    audited!("data-root-not-audited", "CIS-1.1.5", "/var/lib/docker"),
    audited!("etc-docker-not-audited", "CIS-1.1.6", "/etc/docker"),
    audited!("docker-service-not-audited", "CIS-1.1.7", "/usr/lib/systemd/system/docker.service", "/etc/systemd/system/docker.service", "/lib/systemd/system/docker.service"),
    audited!("containerd-socket-not-audited", "CIS-1.1.8", "/run/containerd/containerd.sock"),
    audited!("docker-socket-not-audited", "CIS-1.1.9", "/usr/lib/systemd/system/docker.socket", "/etc/systemd/system/docker.socket", "/lib/systemd/system/docker.socket"),
    audited!("default-docker-not-audited", "CIS-1.1.10", "/etc/default/docker"),
    audited!("daemon-json-not-audited", "CIS-1.1.11", "/etc/docker/daemon.json"),
    audited!("containerd-config-not-audited", "CIS-1.1.12", "/etc/containerd/config.toml"),
    audited!("sysconfig-docker-not-audited", "CIS-1.1.13", "/etc/sysconfig/docker"),
    audited!("containerd-not-audited", "CIS-1.1.14", "/usr/bin/containerd"),
    audited!("shim-not-audited", "CIS-1.1.15", "/usr/bin/containerd-shim"),
    audited!("shim-runc-v1-not-audited", "CIS-1.1.16", "/usr/bin/containerd-shim-runc-v1"),
    audited!("shim-runc-v2-not-audited", "CIS-1.1.17", "/usr/bin/containerd-shim-runc-v2"),
    audited!("runc-not-audited", "CIS-1.1.18", "/usr/bin/runc", "/usr/sbin/runc"),
    HostCheck {
        meta: meta("host-hardening", &["CIS-1.2.1"], 1, Medium, "The host is hardened",
            "Containers share the host's kernel: its weaknesses are theirs.", "Go through your distribution's hardening guide."),
        test: |h, _| Verdict::manual(format!("operating system: {}", os_name(h))),
    },
    HostCheck {
        meta: meta("docker-version", &["CIS-1.2.2"], 1, Medium, "Docker is current",
            "An old engine lacks fixes of known holes.", "Update docker."),
        test: |_, d| match d.map(|d| &d.version) {
            None => Verdict::not_applicable("no docker daemon"),
            Some(Err(why)) => Verdict::unknown(why.clone()),
            Some(Ok(v)) => Verdict::manual(format!("server version {}", shown(v.get("Version")))),
        },
    },
];

fn own_partition(host: &Host, docker: Option<&DockerFacts>) -> Verdict {
    let Some(docker) = docker else { return Verdict::not_applicable("no docker daemon") };
    let root = match &docker.info {
        Err(why) => return Verdict::unknown(why.clone()),
        Ok(info) => info.get("DockerRootDir").and_then(Value::as_str).unwrap_or("/var/lib/docker").to_owned(),
    };
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

/// Looks for a rule on the first of `paths` that exists, in the kernel's loaded rules as auditd writes them to disk.
fn audit_rule(host: &Host, paths: &[&str]) -> Verdict {
    let existing = paths.iter().find(|p| matches!(host.stat(Path::new(p)), Ok(Some(_))));
    let Some(path) = existing else { return Verdict::not_applicable(format!("{} does not exist", paths.join(", "))) };
    let mut files = vec![Path::new("/etc/audit/audit.rules").to_owned()];
    files.extend(
        host.files_below(Path::new("/etc/audit/rules.d"))
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e == "rules")),
    );
    let mut any = false;
    for file in files {
        match host.read_text(&file) {
            Err(why) => return Verdict::unknown(format!("{}: {why}", file.display())),
            Ok(None) => {}
            Ok(Some(text)) => {
                any = true;
                for (i, line) in text.lines().enumerate() {
                    if watches(line, path) {
                        return Verdict::pass(format!("{}:{}: {}", file.display(), i + 1, line.trim()));
                    }
                }
            }
        }
    }
    Verdict::fail(if any {
        format!("no audit rule names {path}")
    } else {
        format!("no audit rules on this host, so none for {path}")
    })
}

/// `-w PATH …`, `-a … -F path=PATH` or `-F dir=PATH` (auditctl(8)); comments do not count.
fn watches(line: &str, path: &str) -> bool {
    let line = line.trim();
    if line.starts_with('#') {
        return false;
    }
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let named = match word {
            "-w" => words.peek().copied(),
            "-F" => words.peek().and_then(|w| w.strip_prefix("path=").or_else(|| w.strip_prefix("dir="))),
            _ => None,
        };
        if named.is_some_and(|n| n.trim_end_matches('/') == path.trim_end_matches('/')) {
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
            audit_rule(&host, &["/etc/docker"]).evidence,
            "/etc/audit/rules.d/d.rules:2: -w /etc/docker/ -p wa -k docker"
        );
        assert_eq!(audit_rule(&host, &["/usr/bin/runc"]).answer, Answer::Pass);
        assert_eq!(audit_rule(&host, &["/usr/bin/containerd"]).answer, Answer::Fail);
        assert_eq!(audit_rule(&host, &["/nothing"]).answer, Answer::NotApplicable);
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
