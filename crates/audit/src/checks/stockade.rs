//! Stockade's own state, settings and containers.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{EachCheck, shown};
use crate::host::Host;
use crate::model::Degree::{High, Low, Medium};
use crate::model::{Degree, Meta, Section, Verdict, meta_of};

/// Where Stockade keeps what, and how it is set. The caller reads the settings; this room looks at the files.
#[derive(Debug, Default)]
pub struct StockadeFacts {
    /// Images, containers, volumes.
    pub root: PathBuf,
    /// Volatile state, with sockets of the monitors.
    pub run: PathBuf,
    /// Configuration files that were read.
    pub config_files: Vec<PathBuf>,
    /// `[gate] mode`: `off`, `warn`, `deny`.
    pub gate_mode: String,
    /// Registries that are spoken to without TLS.
    pub insecure_registries: Vec<String>,
}

/// A check of Stockade itself.
pub(crate) struct StockadeCheck {
    pub(crate) meta: Meta,
    pub(crate) test: fn(&StockadeFacts) -> Verdict,
}

meta_of!(Stockade, (level: u8, risk: Degree), level: level, effort: Low, risk: risk);

/// Checks of Stockade's files and settings.
#[rustfmt::skip]
pub(super) static CHECKS: &[StockadeCheck] = &[
    StockadeCheck { meta: meta("stockade-root-open", &["STOCKADE-1"], 1, Low, "Only its user can look into Stockade's directory",
        "Images and containers hold programs with setuid bits and files of others' applications.", "chmod 700 the directory."),
        test: |f| private(&f.root, 0o077) },
    StockadeCheck { meta: meta("stockade-run-open", &["STOCKADE-2"], 1, Low, "Only its user can look into Stockade's volatile directory",
        "Who reaches a monitor's socket commands the container.", "chmod 700 the directory."),
        test: |f| private(&f.run, 0o077) },
    StockadeCheck { meta: meta("stockade-config-writable", &["STOCKADE-3"], 1, Low, "Only its owner can change stockade.toml",
        "Who changes it switches gates and verification off.", "chmod 644 the file."),
        test: |f| {
            if f.config_files.is_empty() { return Verdict::not_applicable("no stockade.toml: defaults are in force"); }
            let open: Vec<String> = f.config_files.iter().filter_map(|p| {
                let verdict = private(p, 0o022);
                (verdict.answer != crate::model::Answer::Pass).then_some(verdict.evidence)
            }).collect();
            Verdict::of(open.is_empty(), if open.is_empty() { format!("{} files", f.config_files.len()) } else { open.join(", ") })
        } },
    StockadeCheck { meta: meta("stockade-gate-off", &["STOCKADE-4"], 1, Medium, "The run gate is on",
        "Images with known, exploited holes start without a word.", "Set [gate] mode = \"warn\" or \"deny\" in stockade.toml."),
        test: |f| Verdict::of(f.gate_mode != "off", format!("gate.mode: {}", f.gate_mode)) },
    StockadeCheck { meta: meta("stockade-insecure-registry", &["CIS-2.5"], 1, Medium, "No registry is trusted without TLS",
        "Anyone on the way can swap the image.", "Take insecure = true out of [[registry]] in stockade.toml."),
        test: |f| Verdict::of(f.insecure_registries.is_empty(), if f.insecure_registries.is_empty() { "no registry is insecure".to_owned() } else { f.insecure_registries.join(", ") }) },
];

/// Checks of Stockade's containers, beside those of all containers.
#[rustfmt::skip]
pub(crate) static CONTAINER_CHECKS: &[EachCheck] = &[
    EachCheck { meta: container("weakened-confinement", &["STOCKADE-5"], 1, Medium, "No option gives away what its level keeps",
        "Each such option is a way to the host that the level had closed.", "Run it again without the options that are named."),
        test: |c, _| match c.pointer("/Stockade/Weakened").and_then(Value::as_array) {
            None => Verdict::unknown("Stockade.Weakened is absent"),
            Some(list) => Verdict::of(list.is_empty(), format!("Stockade.Weakened: {}", shown(c.pointer("/Stockade/Weakened")))),
        } },
    EachCheck { meta: container("compat-confinement", &["STOCKADE-6"], 1, High, "It runs at level standard or above",
        "Level compat is docker's default: root of the container is root of the host, with 14 capabilities.", "Run it with --confine standard."),
        test: |c, _| {
            let level = c.pointer("/Stockade/Confinement");
            match level.and_then(Value::as_str) {
                None => Verdict::unknown("Stockade.Confinement is absent"),
                Some(l) => Verdict::of(l != "compat", format!("Stockade.Confinement: {l}")),
            }
        } },
];

const fn container(
    id: &'static str,
    refs: &'static [&'static str],
    level: u8,
    risk: Degree,
    title: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Meta {
    Meta { id, refs, section: Section::Containers, title, why, fix, level, effort: Medium, risk }
}

/// Passes where none of the bits is set.
fn private(path: &Path, bits: u32) -> Verdict {
    match Host::live().map_err(|e| e.to_string()).and_then(|h| h.stat(path)) {
        Err(why) => Verdict::unknown(format!("{}: {why}", path.display())),
        Ok(None) => Verdict::not_applicable(format!("{} does not exist", path.display())),
        Ok(Some(f)) => {
            Verdict::of(f.mode & bits == 0, format!("{}: {:03o} {}:{}", path.display(), f.mode, f.user, f.group))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::facts::DockerFacts;
    use crate::model::Answer;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn open_directories_fail() {
        let dir = tempfile::tempdir().unwrap();
        let facts =
            StockadeFacts { root: dir.path().to_owned(), gate_mode: "off".to_owned(), ..StockadeFacts::default() };
        let answer = |id: &str| (CHECKS.iter().find(|c| c.meta.id == id).unwrap().test)(&facts).answer;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(answer("stockade-root-open"), Answer::Fail);
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(answer("stockade-root-open"), Answer::Pass);
        assert_eq!(answer("stockade-gate-off"), Answer::Fail);
        assert_eq!(answer("stockade-config-writable"), Answer::NotApplicable);
        assert_eq!(answer("stockade-run-open"), Answer::NotApplicable);
    }

    #[test]
    fn weakened_containers_fail() {
        let facts = DockerFacts::default();
        for (inspect, answers) in [
            (json!({"Stockade": {"Weakened": ["--pid host"], "Confinement": "compat"}}), [Answer::Fail, Answer::Fail]),
            (json!({"Stockade": {"Weakened": [], "Confinement": "strict"}}), [Answer::Pass, Answer::Pass]),
            (json!({}), [Answer::Unknown, Answer::Unknown]),
        ] {
            let got: Vec<_> = CONTAINER_CHECKS.iter().map(|c| (c.test)(&inspect, &facts).answer).collect();
            assert_eq!(got, answers);
        }
    }
}
