//! The table of all checks, and how they are run.

pub(crate) mod containers;
mod daemon;
mod daemon_files;
mod enterprise;
mod host;
pub(crate) mod images;
mod operations;
mod swarm;

use serde_json::Value;

use crate::docker::facts::DockerFacts;
use crate::host::Host;
use crate::model::{CheckResult, Meta, Report, Verdict};

/// What an audit looks at. A part that is `None` is not audited.
#[derive(Debug, Default)]
pub struct Subjects<'a> {
    /// The host's files.
    pub host: Option<&'a Host>,
    /// A daemon, its images and containers.
    pub docker: Option<&'a DockerFacts>,
    /// Look at the daemon's own settings and files (not for single images and containers).
    pub daemon: bool,
}

/// A check of the host: one answer.
struct HostCheck {
    meta: Meta,
    test: fn(&Host, Option<&DockerFacts>) -> Verdict,
}

/// A check of the daemon: one answer.
struct DaemonCheck {
    meta: Meta,
    test: fn(&DockerFacts) -> Verdict,
}

/// A check of each container or each image: one answer for each.
struct EachCheck {
    meta: Meta,
    test: fn(&Value, &DockerFacts) -> Verdict,
}

/// Every check there is, in the order of the report.
pub fn all() -> impl Iterator<Item = &'static Meta> {
    let host = host::CHECKS.iter().chain(daemon_files::CHECKS).map(|c| &c.meta);
    let daemon =
        daemon::CHECKS.iter().chain(operations::CHECKS).chain(swarm::CHECKS).chain(enterprise::CHECKS).map(|c| &c.meta);
    let each = images::CHECKS.iter().chain(containers::CHECKS).map(|c| &c.meta);
    host.chain(daemon).chain(each)
}

/// Runs every check that has a subject.
pub fn run(subjects: &Subjects<'_>) -> Report {
    let mut out = Vec::new();
    let mut push = |meta: &Meta, subject: String, verdict: Verdict| {
        out.push(CheckResult {
            meta: *meta,
            result: verdict.answer,
            subject,
            evidence: verdict.evidence,
            waived: None,
        });
    };
    if let Some(host) = subjects.host {
        for check in host::CHECKS.iter().chain(daemon_files::CHECKS) {
            push(&check.meta, "host".to_owned(), (check.test)(host, subjects.docker));
        }
    }
    if let Some(docker) = subjects.docker {
        if subjects.daemon {
            for check in daemon::CHECKS.iter().chain(operations::CHECKS).chain(swarm::CHECKS).chain(enterprise::CHECKS)
            {
                push(&check.meta, "daemon".to_owned(), (check.test)(docker));
            }
        }
        for (checks, list, kind) in
            [(images::CHECKS, &docker.images, "image"), (containers::CHECKS, &docker.containers, "container")]
        {
            for (i, one) in list.iter().enumerate() {
                let subject = match one {
                    Ok(value) => format!("{kind} {}", name(value)),
                    Err(_) => format!("{kind} number {}", i + 1),
                };
                for check in checks {
                    let verdict = match one {
                        Ok(value) => (check.test)(value, docker),
                        Err(why) => Verdict::unknown(why.clone()),
                    };
                    push(&check.meta, subject.clone(), verdict);
                }
            }
        }
    }
    out.sort_by_key(|a| a.meta.section);
    Report::new(out)
}

/// What people call a container or an image.
fn name(value: &Value) -> String {
    let text = |v: Option<&Value>| v.and_then(Value::as_str).map(str::to_owned);
    text(value.get("Name"))
        .map(|n| n.trim_start_matches('/').to_owned())
        .or_else(|| text(value.pointer("/RepoTags/0")))
        .or_else(|| text(value.get("Id")).map(|id| id.trim_start_matches("sha256:").chars().take(12).collect()))
        .unwrap_or_else(|| "without a name".to_owned())
}

/// A short form of a value for evidence lines.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(v) => {
            let text = v.to_string();
            if text.chars().count() > 200 { text.chars().take(199).chain(['…']).collect() } else { text }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let mut seen = HashSet::new();
        for meta in all() {
            assert!(seen.insert(meta.id), "{} twice", meta.id);
            assert!(meta.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", meta.id);
            assert!(!meta.refs.is_empty() && meta.why.ends_with('.') && meta.fix.ends_with('.'), "{}", meta.id);
        }
    }

    /// Every id of the benchmark has a check: section, number of checks in it.
    #[test]
    fn all_sections_of_the_benchmark_are_covered() {
        let refs: HashSet<&str> = all().flat_map(|m| m.refs.iter().copied()).collect();
        let mut wanted: Vec<String> = Vec::new();
        for (prefix, count) in [
            ("1.1", 18),
            ("1.2", 2),
            ("2", 18),
            ("3", 24),
            ("4", 12),
            ("5", 32),
            ("6", 2),
            ("7", 9),
            ("8.1", 7),
            ("8.2", 1),
        ] {
            wanted.extend((1..=count).map(|n| format!("CIS-{prefix}.{n}")));
        }
        wanted.extend(["C.2", "C.5.3.1", "C.5.3.2", "C.5.3.3", "C.5.3.4"].map(str::to_owned));
        let missing: Vec<_> = wanted.iter().filter(|w| !refs.contains(w.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
