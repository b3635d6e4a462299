//! The gate before a run.

use jiff::civil::Date;
use stockade_advisory::Severity;
use stockade_advisory::report::{Finding, ScanReport};
use stockade_config::{GateException, GateMode, GateSettings, UnknownMode};

use crate::rules;

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// It may run, but the person should know.
    Warn,
    /// It may not run (exit code 3).
    Deny,
    /// Facts that the policy needs are not known, and the policy does not allow that (exit code 4).
    Undecided,
}

/// A finding over the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// The vulnerability.
    pub id: String,
    /// The package to upgrade: of distributions the source package.
    pub package: String,
    /// Installed version.
    pub installed: String,
    /// The version that fixes it.
    pub fixed: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Known to be exploited.
    pub exploited: bool,
}

/// An exception that needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExceptionNote {
    /// Its last day is over: the finding counts again.
    Expired {
        /// The advisory's id.
        id: String,
        /// The day.
        until: String,
    },
    /// It matches no finding: it can go.
    Unused {
        /// The advisory's id.
        id: String,
    },
}

/// The gate's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// What is over the gate, worst first, each vulnerability and package once.
    pub offences: Vec<Offence>,
    /// Rules about packages, licences and releases that are broken, in words.
    pub broken: Vec<String>,
    /// What is not known and matters, in words.
    pub unknown: Vec<String>,
    /// Exceptions that need attention.
    pub exceptions: Vec<ExceptionNote>,
}

/// Judges a report. `today` decides which exceptions still hold.
///
/// A finding is over the gate when it counts, is fixable (unless the settings say that this does not matter), and is at
/// least as severe as the settings say or known to be exploited. The severity `unknown` is never over the gate; where
/// the settings do not allow unknown facts, it leaves the gate undecided.
pub fn gate(settings: &GateSettings, report: &ScanReport, today: Date) -> Decision {
    let least: Severity = settings.severity.parse().unwrap_or(Severity::Critical);
    let mut used = vec![false; settings.exceptions.len()];
    let mut offences: Vec<Offence> = Vec::new();
    let mut unrated = 0usize;
    for finding in report.open_findings() {
        let excepted = excepted(&settings.exceptions, &mut used, finding, today);
        if excepted || (settings.fixable && !finding.is_fixable()) {
            continue;
        }
        let exploited = settings.known_exploited && finding.known_exploited();
        if !exploited && rules::is_recent(finding, settings.grace_days, today) {
            continue;
        }
        if finding.severity == Severity::Unknown && !exploited {
            unrated += 1;
        } else if finding.severity >= least || exploited {
            let offence = offence(finding);
            if !offences.contains(&offence) {
                offences.push(offence);
            }
        }
    }
    let broken = rules::broken(settings, report, today);
    let mut unknown = what_is_unknown(report, unrated);
    let stale = rules::stale(settings, report, today);
    let is_stale = !stale.is_empty();
    unknown.splice(0..0, stale);
    let mut verdict = decide(settings, !offences.is_empty() || !broken.is_empty(), !unknown.is_empty());
    if is_stale && matches!(verdict, Verdict::Pass | Verdict::Warn) && settings.mode != GateMode::Off {
        // A bound on the age of facts is a rule of its own, whatever else may be unknown.
        verdict = if settings.mode == GateMode::Deny { Verdict::Undecided } else { Verdict::Warn };
    }
    Decision { verdict, offences, broken, unknown, exceptions: attention(&settings.exceptions, &used, today) }
}

fn decide(settings: &GateSettings, offends: bool, unknown: bool) -> Verdict {
    match settings.mode {
        GateMode::Off => return Verdict::Pass,
        GateMode::Deny if offends => return Verdict::Deny,
        GateMode::Warn if offends => return Verdict::Warn,
        GateMode::Deny | GateMode::Warn => {}
    }
    match settings.unknown {
        UnknownMode::Allow => Verdict::Pass,
        UnknownMode::Warn if unknown => Verdict::Warn,
        // A gate that only warns does not stop for what it does not know either.
        UnknownMode::Deny if unknown && settings.mode == GateMode::Warn => Verdict::Warn,
        UnknownMode::Deny if unknown => Verdict::Undecided,
        UnknownMode::Warn | UnknownMode::Deny => Verdict::Pass,
    }
}

fn offence(finding: &Finding) -> Offence {
    Offence {
        id: finding.id.clone(),
        package: finding.component().to_owned(),
        installed: finding.package.version.clone(),
        fixed: finding.fixed.first().cloned(),
        severity: finding.severity,
        exploited: finding.known_exploited(),
    }
}

fn what_is_unknown(report: &ScanReport, unrated: usize) -> Vec<String> {
    let mut out: Vec<String> = report
        .unknown
        .iter()
        .map(|u| if u.path.is_empty() { u.why.clone() } else { format!("{}: {}", u.path, u.why) })
        .collect();
    if unrated > 0 {
        let noun = if unrated == 1 { "finding has" } else { "findings have" };
        out.push(format!("{unrated} {noun} no known severity"));
    }
    out
}

fn holds(exception: &GateException, today: Date) -> bool {
    // A date that cannot be read does not hold: the configuration's reader refuses such dates before.
    exception.until.as_ref().is_none_or(|day| day.parse::<Date>().is_ok_and(|until| today <= until))
}

fn excepted(exceptions: &[GateException], used: &mut [bool], finding: &Finding, today: Date) -> bool {
    let mut found = false;
    for (exception, used) in exceptions.iter().zip(used.iter_mut()) {
        if finding.has_id(&exception.id) {
            *used = true;
            found |= holds(exception, today);
        }
    }
    found
}

fn attention(exceptions: &[GateException], used: &[bool], today: Date) -> Vec<ExceptionNote> {
    let mut out = Vec::new();
    for (exception, used) in exceptions.iter().zip(used) {
        let id = exception.id.clone();
        match (&exception.until, used) {
            (_, false) => out.push(ExceptionNote::Unused { id }),
            (Some(until), true) if !holds(exception, today) => {
                out.push(ExceptionNote::Expired { id, until: until.clone() })
            }
            _ => {}
        }
    }
    out
}

impl std::fmt::Display for Offence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}", self.id, self.severity.word())?;
        if self.exploited {
            f.write_str(", exploited")?;
        }
        write!(f, ") in {} {}", self.package, self.installed)?;
        match &self.fixed {
            Some(fixed) => write!(f, ", fixed in {fixed}"),
            None => f.write_str(", no fix known"),
        }
    }
}

impl std::fmt::Display for ExceptionNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExceptionNote::Expired { id, until } => {
                write!(f, "the exception for {id} ended on {until}: the finding counts again")
            }
            ExceptionNote::Unused { id } => write!(f, "the exception for {id} matches no finding: it can be removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(findings: &[(&str, &str, bool, &[&str])]) -> ScanReport {
        let findings: Vec<_> = findings
            .iter()
            .map(|(id, severity, exploited, fixed)| {
                json!({"id": id, "aliases": [format!("ALIAS-{id}")], "package": {"name": "libx1", "version": "1.0", "purl": "pkg:deb/debian/libx1@1.0", "type": "deb", "source": "x"},
                    "path": "var/lib/dpkg/status", "layer": null, "instruction": null, "status": "affected", "severity": severity, "cvss": [],
                    "fixed": fixed, "known_exploited": exploited, "epss": null, "vex": null})
            })
            .collect();
        serde_json::from_value(json!({"schema": "stockade.scan/v1", "target": {"name": "t", "kind": "image", "digest": null, "os": null},
            "scanner": {"name": "stockade", "version": "0"}, "database": {"built": "2026-01-01", "digest": "", "sources": []},
            "packages": [], "findings": findings, "unknown": []}))
        .unwrap()
    }

    fn today() -> Date {
        "2026-11-24".parse().unwrap()
    }

    #[test]
    fn the_default_warns_of_critical_and_exploited_ones_that_have_a_fix() {
        let report = report(&[
            ("CVE-1", "critical", false, &["2.0"]),
            ("CVE-2", "critical", false, &[]),
            ("CVE-3", "low", true, &["2.0"]),
            ("CVE-4", "high", false, &["2.0"]),
            ("CVE-5", "unknown", false, &["2.0"]),
            ("CVE-6", "unknown", true, &["2.0"]),
        ]);
        let decision = gate(&GateSettings::default(), &report, today());
        assert_eq!(decision.verdict, Verdict::Warn);
        assert_eq!(decision.offences.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["CVE-1", "CVE-3", "CVE-6"]);
        assert_eq!(decision.offences[1].to_string(), "CVE-3 (low, exploited) in x 1.0, fixed in 2.0");
        assert_eq!(decision.unknown, ["1 finding has no known severity"]);
    }

    #[test]
    fn deny_denies_and_off_is_off() {
        let report = report(&[("CVE-1", "critical", false, &["2.0"])]);
        let with = |mode| gate(&GateSettings { mode, ..GateSettings::default() }, &report, today()).verdict;
        assert_eq!(with(GateMode::Deny), Verdict::Deny);
        assert_eq!(with(GateMode::Off), Verdict::Pass);
    }

    #[test]
    fn unknown_facts_decide_only_where_the_policy_says_so() {
        let mut report = report(&[]);
        report.unknown.push(stockade_inventory::Unknown::new("coverage", "", "no facts for X"));
        let with =
            |mode, unknown| gate(&GateSettings { mode, unknown, ..GateSettings::default() }, &report, today()).verdict;
        assert_eq!(with(GateMode::Deny, UnknownMode::Allow), Verdict::Pass);
        assert_eq!(with(GateMode::Deny, UnknownMode::Warn), Verdict::Warn);
        assert_eq!(with(GateMode::Deny, UnknownMode::Deny), Verdict::Undecided);
        assert_eq!(with(GateMode::Warn, UnknownMode::Deny), Verdict::Warn);
        assert_eq!(with(GateMode::Off, UnknownMode::Deny), Verdict::Pass);
    }

    #[test]
    fn exceptions_hold_until_their_day_and_are_reported_when_they_do_not_or_are_not_needed() {
        let report = report(&[("CVE-1", "critical", false, &["2.0"]), ("CVE-2", "critical", false, &["2.0"])]);
        let exception = |id: &str, until: Option<&str>| GateException {
            id: id.into(),
            reason: "r".into(),
            until: until.map(Into::into),
        };
        let settings = GateSettings {
            mode: GateMode::Deny,
            exceptions: vec![
                exception("ALIAS-CVE-1", Some("2026-11-24")),
                exception("cve-2", Some("2026-11-23")),
                exception("CVE-9", None),
            ],
            ..GateSettings::default()
        };
        let decision = gate(&settings, &report, today());
        assert_eq!(decision.verdict, Verdict::Deny);
        assert_eq!(decision.offences.len(), 1);
        assert_eq!(decision.offences[0].id, "CVE-2");
        assert_eq!(
            decision.exceptions,
            [
                ExceptionNote::Expired { id: "cve-2".into(), until: "2026-11-23".into() },
                ExceptionNote::Unused { id: "CVE-9".into() }
            ]
        );
        let lenient = GateSettings { exceptions: vec![exception("CVE-1", None), exception("CVE-2", None)], ..settings };
        assert_eq!(gate(&lenient, &report, today()).verdict, Verdict::Pass);
    }
}
