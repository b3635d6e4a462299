//! `docs/checks.md`, made from the code: `stockade audit --list --format markdown > docs/checks.md`.

use std::fmt::Write as _;

use crate::model::{Meta, Section};
use crate::{checks, compose, kubernetes};

/// The page: every check with what it wants, why, and what to do.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Checks of `stockade audit`\n\n\
         Made from the code by `stockade audit --list --format markdown`; change the code, not this page.\n\
         Level 1 is for everyone, level 2 is defence in depth; `fix` says whether `stockade audit --fix` knows a cure. `CIS-…` is a section of the CIS Docker Benchmark, `C.…` a\n\
         community check of docker-bench-security, `KSPP:…` and `LYNIS:…` hardening guides of the kernel, `PSS:…` a control of the Kubernetes Pod Security Standards, `NSA-…` a point of\n\
         the NSA/CISA Kubernetes Hardening Guidance.\n",
    );
    let mut all: Vec<&Meta> = checks::all().chain(compose::all()).chain(kubernetes::all()).collect();
    all.sort_by_key(|m| m.section);
    let mut section = None;
    for meta in all {
        if section != Some(meta.section) {
            section = Some(meta.section);
            let _ = writeln!(
                text,
                "\n## {}\n\n| check | references | level | wants | why | what to do | `--fix` |\n|---|---|---|---|---|---|---|",
                title(meta.section)
            );
        }
        let refs = meta.refs.join(", ");
        let _ = writeln!(
            text,
            "| `{}` | {refs} | {} | {} | {} | {} | {} |",
            meta.id,
            meta.level,
            meta.title,
            meta.why,
            meta.fix,
            if crate::fix::is_known(meta.id) { "yes" } else { "" }
        );
    }
    text
}

fn title(section: Section) -> &'static str {
    match section {
        Section::Host => "Host",
        Section::Kernel => "Kernel and sysctl",
        Section::Daemon => "Docker daemon",
        Section::DaemonFiles => "The daemon's files",
        Section::Containerd => "containerd",
        Section::Podman => "Podman",
        Section::Stockade => "Stockade",
        Section::Images => "Images",
        Section::ImageContent => "Files in images",
        Section::Containers => "Containers",
        Section::Operations => "Operations",
        Section::Swarm => "Swarm",
        Section::Enterprise => "Docker Enterprise",
        Section::Compose => "Compose files",
        Section::Kubernetes => "Kubernetes files",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_the_repository_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checks.md");
        if std::env::var_os("STOCKADE_UPDATE_DOCS").is_some() {
            std::fs::write(path, super::markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == super::markdown(), "docs/checks.md is old: run this test with STOCKADE_UPDATE_DOCS=1");
    }
}
