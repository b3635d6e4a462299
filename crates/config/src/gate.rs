//! `[gate]`: what an image may not have when it is run.

use std::path::Path;

use crate::file::{self, ConfigError, GateException, GateMode, GateTable, UnknownMode};
use crate::replace;

/// `[gate]`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateSettings {
    /// Whether findings stop a run.
    pub mode: GateMode,
    /// The lowest severity that counts: `low`, `medium`, `high`, `critical`.
    pub severity: String,
    /// Count only findings that a newer version fixes.
    pub fixable: bool,
    /// Findings known to be exploited count at any severity.
    pub known_exploited: bool,
    /// What it means that something could not be decided.
    pub unknown: UnknownMode,
    /// A finding counts only this many days after its publication; one that is known to be exploited counts at once.
    pub grace_days: u32,
    /// Facts older than this many days leave the gate undecided, as other unknown facts do; 0: any age will do.
    pub facts_days: u32,
    /// A release without security support counts.
    pub end_of_life: bool,
    /// Packages that may not be there: `NAME`, `TYPE:NAME`, each with `*` for anything and an optional `@VERSION`.
    pub deny_packages: Vec<String>,
    /// Licences that may not be there, with `*` for anything.
    pub deny_licenses: Vec<String>,
    /// Audit checks of images that must not fail before a run, as `audit --list` names them.
    pub checks: Vec<String>,
    /// Findings that do not count, each with its reason.
    pub exceptions: Vec<GateException>,
}

impl Default for GateSettings {
    fn default() -> Self {
        GateSettings {
            mode: GateMode::Warn,
            severity: "critical".to_owned(),
            fixable: true,
            known_exploited: true,
            unknown: UnknownMode::Allow,
            grace_days: 0,
            facts_days: 0,
            end_of_life: false,
            deny_packages: Vec::new(),
            deny_licenses: Vec::new(),
            checks: Vec::new(),
            exceptions: Vec::new(),
        }
    }
}

/// Severities that a gate can name, mildest first.
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

impl GateSettings {
    /// Reads the rules of a file of their own (`scan --gate FILE`): the keys of `[gate]`, with or without that header.
    /// The mode is `deny` where the file does not say.
    ///
    /// # Errors
    /// A file that cannot be read, and keys and values that are not known.
    pub fn from_file(path: &Path) -> Result<GateSettings, ConfigError> {
        let table = file::read_gate(path)?;
        let mut settings = GateSettings { mode: GateMode::Deny, ..GateSettings::default() };
        settings.apply(table);
        Ok(settings)
    }

    /// Takes every key that is set.
    pub(crate) fn apply(&mut self, table: GateTable) {
        replace(&mut self.mode, table.mode);
        replace(&mut self.severity, table.severity);
        replace(&mut self.fixable, table.fixable);
        replace(&mut self.known_exploited, table.known_exploited);
        replace(&mut self.unknown, table.unknown);
        replace(&mut self.grace_days, table.grace_days);
        replace(&mut self.facts_days, table.facts_days);
        replace(&mut self.end_of_life, table.end_of_life);
        self.deny_packages.extend(table.deny_packages);
        self.deny_licenses.extend(table.deny_licenses);
        self.checks.extend(table.checks);
        self.exceptions.extend(table.exception);
    }

    /// Takes what makes the gate stricter. Output: what was not taken, in words. Exceptions of a project hold while
    /// nobody else has set a gate (`owned`).
    pub(crate) fn tighten(&mut self, table: GateTable, owned: bool) -> Vec<String> {
        let mut refused = Vec::new();
        let rank = |severity: &str| SEVERITIES.iter().position(|s| *s == severity);
        let mut take = |key: &str, stricter: bool, same: bool| {
            if !stricter && !same {
                refused.push(format!("[gate] {key} would loosen the gate: a project can only make it stricter"));
            }
            stricter
        };
        if let Some(mode) = table.mode
            && take("mode", mode > self.mode, mode == self.mode)
        {
            self.mode = mode;
        }
        if let Some(severity) = table.severity
            && take("severity", rank(&severity) < rank(&self.severity), severity == self.severity)
        {
            self.severity = severity;
        }
        if let Some(fixable) = table.fixable
            && take("fixable", !fixable && self.fixable, fixable == self.fixable)
        {
            self.fixable = fixable;
        }
        if let Some(exploited) = table.known_exploited
            && take("known-exploited", exploited && !self.known_exploited, exploited == self.known_exploited)
        {
            self.known_exploited = exploited;
        }
        if let Some(unknown) = table.unknown
            && take("unknown", unknown > self.unknown, unknown == self.unknown)
        {
            self.unknown = unknown;
        }
        if let Some(days) = table.grace_days
            && take("grace-days", days < self.grace_days, days == self.grace_days)
        {
            self.grace_days = days;
        }
        if let Some(days) = table.facts_days
            && take("facts-days", days > 0 && (self.facts_days == 0 || days < self.facts_days), days == self.facts_days)
        {
            self.facts_days = days;
        }
        if let Some(counts) = table.end_of_life
            && take("end-of-life", counts && !self.end_of_life, counts == self.end_of_life)
        {
            self.end_of_life = counts;
        }
        self.deny_packages.extend(table.deny_packages);
        self.deny_licenses.extend(table.deny_licenses);
        self.checks.extend(table.checks);
        if owned && !table.exception.is_empty() {
            refused.push(
                "[[gate.exception]] was not taken: the machine's or the user's stockade.toml sets the gate, and its exceptions belong there"
                    .to_owned(),
            );
        } else {
            self.exceptions.extend(table.exception);
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> GateTable {
        file::parse(Path::new("x"), &format!("[gate]\n{text}")).unwrap().gate.unwrap()
    }

    #[test]
    fn a_project_makes_the_gate_stricter_and_never_looser() {
        let strict = GateSettings {
            mode: GateMode::Deny,
            severity: "high".into(),
            fixable: false,
            unknown: UnknownMode::Warn,
            grace_days: 7,
            facts_days: 30,
            end_of_life: true,
            ..GateSettings::default()
        };
        let mut gate = strict.clone();
        let refused = gate.tighten(
            table("mode = \"off\"\nseverity = \"critical\"\nfixable = true\nknown-exploited = false\nunknown = \"allow\"\ngrace-days = 90\nfacts-days = 0\nend-of-life = false\n[[gate.exception]]\nid = \"CVE-1\"\nreason = \"r\""),
            true,
        );
        assert_eq!(gate, strict);
        assert_eq!(refused.len(), 9, "{refused:#?}");
        let refused = gate.tighten(
            table("severity = \"low\"\nunknown = \"deny\"\ngrace-days = 0\nfacts-days = 5\ndeny-packages = [\"a\"]\ndeny-licenses = [\"b\"]\nchecks = [\"CIS-4.1\"]"),
            true,
        );
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(
            (gate.severity.as_str(), gate.unknown, gate.grace_days, gate.facts_days),
            ("low", UnknownMode::Deny, 0, 5)
        );
        assert_eq!((gate.deny_packages.len(), gate.deny_licenses.len(), gate.checks.len()), (1, 1, 1));
    }

    #[test]
    fn without_a_gate_of_the_owner_exceptions_hold_and_warnings_stay() {
        let mut gate = GateSettings::default();
        let refused = gate.tighten(table("mode = \"off\"\n[[gate.exception]]\nid = \"CVE-1\"\nreason = \"r\""), false);
        assert_eq!((gate.mode, gate.exceptions.len(), refused.len()), (GateMode::Warn, 1, 1));
    }

    #[test]
    fn a_file_of_its_own_has_the_keys_with_or_without_the_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.toml");
        for text in ["severity = \"low\"", "[gate]\nseverity = \"low\""] {
            std::fs::write(&path, text).unwrap();
            let gate = GateSettings::from_file(&path).unwrap();
            assert_eq!((gate.mode, gate.severity.as_str()), (GateMode::Deny, "low"));
        }
        std::fs::write(&path, "severty = \"low\"").unwrap();
        assert!(GateSettings::from_file(&path).unwrap_err().to_string().contains("did you mean `severity`"));
    }
}
