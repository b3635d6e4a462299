//! The table of all checks, and how they are run.

mod container_values;
pub(crate) mod containerd;
pub(crate) mod containers;
pub(crate) mod daemon;
pub(crate) mod daemon_files;
mod enterprise;
pub(crate) mod host;
mod image_content;
pub(crate) mod images;
pub(crate) mod kernel;
mod operations;
pub(crate) mod podman;
pub(crate) mod stockade;
mod swarm;

use serde_json::Value;

use crate::docker::facts::DockerFacts;
use crate::host::Host;
use crate::model::{CheckResult, Meta, Report, Section, Verdict};
pub use stockade::StockadeFacts;

/// What an audit looks at. A part that is absent is not audited.
#[derive(Debug, Default)]
pub struct Subjects<'a> {
    /// The host's files, for the sections below.
    pub host: Option<&'a Host>,
    /// Sections that look at the host: of [`Section::Host`], [`Section::Kernel`], [`Section::DaemonFiles`],
    /// [`Section::Containerd`], [`Section::Podman`].
    pub sections: Vec<Section>,
    /// The docker daemon: its settings if `daemon`, and its facts for checks of the host.
    pub docker: Option<&'a DockerFacts>,
    /// Look at the daemon's own settings (not for single images and containers).
    pub daemon: bool,
    /// Engines whose images and containers are looked at.
    pub engines: Vec<&'a DockerFacts>,
    /// Stockade's own state and settings.
    pub stockade: Option<&'a StockadeFacts>,
}

/// A check of the host: one answer.
pub(crate) struct HostCheck {
    pub(crate) meta: Meta,
    pub(crate) test: fn(&Host, Option<&DockerFacts>) -> Verdict,
}

/// A check of the daemon: one answer.
pub(crate) struct DaemonCheck {
    pub(crate) meta: Meta,
    pub(crate) test: fn(&DockerFacts) -> Verdict,
}

/// A check of each container or each image: one answer for each.
pub(crate) struct EachCheck {
    pub(crate) meta: Meta,
    pub(crate) test: fn(&Value, &DockerFacts) -> Verdict,
}

/// Tables of checks that look at the host.
const HOST_TABLES: [&[HostCheck]; 5] =
    [host::CHECKS, kernel::CHECKS, daemon_files::CHECKS, containerd::CHECKS, podman::CHECKS];
/// Tables of checks that look at a daemon.
const DAEMON_TABLES: [&[DaemonCheck]; 4] = [daemon::CHECKS, operations::CHECKS, swarm::CHECKS, enterprise::CHECKS];

/// Every check there is, in the order of the report.
pub fn all() -> impl Iterator<Item = &'static Meta> {
    let host = HOST_TABLES.into_iter().flatten().map(|c| &c.meta).chain(kernel::SYSCTLS.iter().map(|c| &c.meta));
    let daemon = DAEMON_TABLES.into_iter().flatten().map(|c| &c.meta);
    let each =
        images::CHECKS.iter().chain(image_content::CHECKS).chain(containers::CHECKS).chain(stockade::CONTAINER_CHECKS);
    host.chain(daemon).chain(stockade::CHECKS.iter().map(|c| &c.meta)).chain(each.map(|c| &c.meta))
}

/// Runs every check that has a subject.
pub fn run(subjects: &Subjects<'_>) -> Report {
    let mut out = Vec::new();
    let mut push = |meta: &Meta, subject: String, verdict: Verdict| out.push(CheckResult::new(meta, subject, verdict));
    if let Some(host) = subjects.host {
        let wanted = |meta: &Meta| subjects.sections.contains(&meta.section);
        for check in HOST_TABLES.into_iter().flatten().filter(|c| wanted(&c.meta)) {
            push(&check.meta, "host".to_owned(), (check.test)(host, subjects.docker));
        }
        for check in kernel::SYSCTLS.iter().filter(|c| wanted(&c.meta)) {
            push(&check.meta, "host".to_owned(), check.test(host));
        }
    }
    if let Some(docker) = subjects.docker.filter(|_| subjects.daemon) {
        for check in DAEMON_TABLES.into_iter().flatten() {
            push(&check.meta, "daemon".to_owned(), (check.test)(docker));
        }
    }
    if let Some(stockade) = subjects.stockade {
        for check in stockade::CHECKS {
            push(&check.meta, "stockade".to_owned(), (check.test)(stockade));
        }
    }
    for engine in &subjects.engines {
        run_each(engine, &mut push);
    }
    // Within a section the order is the one above: by subject, then by check.
    out.sort_by_key(|a| a.meta.section);
    Report::new(out)
}

/// The checks of each image and each container of an engine.
fn run_each(engine: &DockerFacts, push: &mut impl FnMut(&Meta, String, Verdict)) {
    for (list, kind) in [(&engine.images, "image"), (&engine.containers, "container")] {
        for (i, one) in list.iter().enumerate() {
            let subject = subject_of(engine, kind, one.as_ref().ok(), i);
            for check in checks_of(engine, kind, one.as_ref().ok()) {
                let verdict = match one.as_ref() {
                    Ok(value) => (check.test)(value, engine),
                    Err(why) => Verdict::unknown(why.clone()),
                };
                push(&check.meta, subject.clone(), verdict);
            }
        }
    }
}

/// What a report calls a container or an image.
fn subject_of(engine: &DockerFacts, kind: &str, one: Option<&Value>, index: usize) -> String {
    match one {
        Some(value) => format!("{}{kind} {}", engine.kind.prefix(), name(value)),
        None => format!("{}{kind} number {}", engine.kind.prefix(), index + 1),
    }
}

fn checks_of(engine: &DockerFacts, kind: &str, one: Option<&Value>) -> impl Iterator<Item = &'static EachCheck> {
    let stockade = engine.kind == crate::docker::facts::Kind::Stockade;
    // Files are looked at only where somebody unpacked them for us: saying "unknown" of every image of a daemon is noise.
    let id = one.and_then(|v| v.get("Id")).and_then(Value::as_str).unwrap_or("");
    let content = engine.contents.contains_key(id);
    let (first, second): (&[EachCheck], &[EachCheck]) = match kind {
        "image" => (images::CHECKS, if content { image_content::CHECKS } else { &[] }),
        _ => (containers::CHECKS, if stockade { stockade::CONTAINER_CHECKS } else { &[] }),
    };
    first.iter().chain(second)
}

/// All checks that look at the host, but those of kernel settings.
pub(crate) fn host_tables() -> impl Iterator<Item = &'static HostCheck> {
    HOST_TABLES.into_iter().flatten()
}

/// The checks of containers that a caller may ask for one by one: see [`crate::gate`].
pub(crate) fn container_checks() -> impl Iterator<Item = &'static EachCheck> {
    containers::CHECKS.iter().chain(stockade::CONTAINER_CHECKS)
}

/// The checks of images, those of their files among them: see [`crate::gate`].
pub(crate) fn image_checks() -> impl Iterator<Item = &'static EachCheck> {
    images::CHECKS.iter().chain(image_content::CHECKS)
}

/// What people call a container or an image.
pub(crate) fn name(value: &Value) -> String {
    let text = |v: Option<&Value>| v.and_then(Value::as_str).map(str::to_owned);
    text(value.get("Name"))
        .map(|n| n.trim_start_matches('/').to_owned())
        .or_else(|| text(value.pointer("/RepoTags/0")))
        .or_else(|| text(value.get("Id")).map(|id| id.trim_start_matches("sha256:").chars().take(12).collect()))
        .unwrap_or_else(|| "without a name".to_owned())
}

/// A short form of a value for evidence lines.
pub(crate) fn shown(value: Option<&Value>) -> String {
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
