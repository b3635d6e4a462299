//! Rules of the gate that are not about the severity of vulnerabilities: packages, licences, releases, age.

use jiff::civil::Date;
use stockade_advisory::report::{Finding, PackageEntry, ScanReport};
use stockade_config::GateSettings;

/// Packages named for one rule; the rest is counted.
const MAX_NAMED: usize = 5;

/// Whether a finding was published so lately that it does not count yet. One without a date counts.
pub(crate) fn is_recent(finding: &Finding, grace_days: u32, today: Date) -> bool {
    let Some(published) = finding.published.as_deref().and_then(|d| d.parse::<Date>().ok()) else { return false };
    days_between(published, today) < i64::from(grace_days)
}

fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// Facts that are older than the settings allow, in words.
pub(crate) fn stale(settings: &GateSettings, report: &ScanReport, today: Date) -> Vec<String> {
    if settings.facts_days == 0 {
        return Vec::new();
    }
    let used = report.database.coverage.iter();
    used.filter_map(|c| {
        let days = c.until.parse::<Date>().map_or(i64::MAX, |until| days_between(until, today));
        (days > i64::from(settings.facts_days)).then(|| {
            format!(
                "the facts about {} end at {}, and the gate wants none older than {} days",
                c.ecosystem, c.until, settings.facts_days
            )
        })
    })
    .collect()
}

/// Rules about packages, licences and the release that are broken, in words.
pub(crate) fn broken(settings: &GateSettings, report: &ScanReport, today: Date) -> Vec<String> {
    let mut out = Vec::new();
    for rule in &settings.deny_packages {
        let found = report.packages.iter().filter(|p| names(rule, p)).map(|p| format!("{} {}", p.name, p.version));
        out.extend(tell(found.collect(), &format!("denied by the package rule `{rule}`")));
    }
    for rule in &settings.deny_licenses {
        let denied = |p: &&PackageEntry| p.licenses.iter().any(|l| license_matches(rule, l));
        let found = report.packages.iter().filter(denied).map(|p| format!("{} {}", p.name, p.version));
        out.extend(tell(found.collect(), &format!("under a licence that the rule `{rule}` denies")));
    }
    let eol = report.target.os.as_ref().and_then(|os| Some((os, os.eol.as_ref()?.parse::<Date>().ok()?)));
    if let Some((os, day)) = eol.filter(|(_, day)| settings.end_of_life && *day < today) {
        out.push(format!("security support of {} ended on {day}", os.name));
    }
    out
}

fn tell(mut found: Vec<String>, why: &str) -> Option<String> {
    found.sort();
    found.dedup();
    let more = found.len().saturating_sub(MAX_NAMED);
    found.truncate(MAX_NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if found.len() + more == 1 { "is" } else { "are" };
    (!found.is_empty()).then(|| format!("{}{rest} {verb} {why}", found.join(", ")))
}

/// `NAME`, `TYPE:NAME`, `NAME@VERSION`. A name may hold `:` and `@` itself (Maven, npm): a type is only what is one, and
/// a version only what follows the last `@` that is not the first character.
fn names(rule: &str, package: &PackageEntry) -> bool {
    let (rule, version) = match rule.rsplit_once('@') {
        Some((name, version)) if !name.is_empty() && !version.contains('/') => (name, Some(version)),
        _ => (rule, None),
    };
    if version.is_some_and(|v| !glob(v, &package.version)) {
        return false;
    }
    let name = match rule.split_once(':') {
        Some((kind, name)) if kind == package.kind.purl_type() => name,
        _ => rule,
    };
    glob(name, &package.name) || package.source.as_ref().is_some_and(|s| glob(name, &s.name))
}

/// Licences are matched as a whole and by the names inside an SPDX expression.
fn license_matches(rule: &str, license: &str) -> bool {
    glob(rule, license)
        || license
            .split([' ', '(', ')', ','])
            .any(|word| !matches!(word, "" | "AND" | "OR" | "WITH") && glob(rule, word))
}

/// Whether a text matches a pattern in which `*` stands for any characters; case does not matter.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, gate};
    use serde_json::json;
    use stockade_config::GateMode;

    fn report() -> ScanReport {
        let package = |name: &str, version: &str, kind: &str, license: &str| {
            json!({"name": name, "version": version, "type": kind, "purl": "", "path": "p", "layer": null, "instruction": null,
                "source": null, "licenses": [license]})
        };
        let finding = json!({"id": "CVE-1", "aliases": [], "package": {"name": "x", "version": "1", "purl": "", "type": "npm"},
            "path": "", "layer": null, "instruction": null, "status": "affected", "severity": "critical", "cvss": [], "fixed": ["2"],
            "known_exploited": false, "epss": null, "vex": null, "published": "2026-11-20"});
        serde_json::from_value(json!({"schema": "stockade.scan/v1",
            "target": {"name": "t", "kind": "image", "digest": null, "os": {"id": "debian", "version": "11", "name": "Debian 11", "eol": "2026-08-31"}},
            "scanner": {"name": "stockade", "version": "0"},
            "database": {"built": "", "digest": "", "sources": [], "coverage": [{"ecosystem": "npm", "packages": 1, "sources": [], "until": "2026-10-01", "knows_unfixed": true}]},
            "packages": [package("left-pad", "1.0", "npm", "MIT OR AGPL-3.0-only"), package("org.x:core", "2.17", "maven", "")],
            "findings": [finding], "unknown": []}))
        .unwrap()
    }

    fn today() -> Date {
        "2026-11-24".parse().unwrap()
    }

    fn decide(change: impl FnOnce(&mut GateSettings)) -> crate::Decision {
        let mut settings = GateSettings { mode: GateMode::Deny, ..GateSettings::default() };
        change(&mut settings);
        gate(&settings, &report(), today())
    }

    #[test]
    fn a_young_finding_may_wait() {
        assert_eq!(decide(|_| {}).verdict, Verdict::Deny);
        assert_eq!(decide(|s| s.grace_days = 14).verdict, Verdict::Pass);
        assert_eq!(decide(|s| s.grace_days = 4).verdict, Verdict::Deny);
    }

    #[test]
    fn packages_licences_and_releases_can_be_denied() {
        for rule in ["left-pad", "npm:left-*", "left-pad@1.0", "LEFT-PAD@1.*", "org.x:core", "maven:org.x:core@2.17"] {
            let decision = decide(|s| (s.grace_days, s.deny_packages) = (90, vec![rule.to_owned()]));
            assert_eq!(decision.verdict, Verdict::Deny, "{rule}");
            assert!(decision.broken[0].contains(rule), "{:?}", decision.broken);
        }
        for rule in ["left", "gem:left-pad", "left-pad@2.0"] {
            assert_eq!(
                decide(|s| (s.grace_days, s.deny_packages) = (90, vec![rule.to_owned()])).verdict,
                Verdict::Pass,
                "{rule}"
            );
        }
        assert_eq!(decide(|s| (s.grace_days, s.deny_licenses) = (90, vec!["agpl-*".into()])).verdict, Verdict::Deny);
        assert_eq!(decide(|s| (s.grace_days, s.deny_licenses) = (90, vec!["GPL-*".into()])).verdict, Verdict::Pass);
        assert_eq!(decide(|s| (s.grace_days, s.end_of_life) = (90, true)).verdict, Verdict::Deny);
    }

    #[test]
    fn old_facts_leave_it_undecided() {
        assert_eq!(decide(|s| (s.grace_days, s.facts_days) = (90, 30)).verdict, Verdict::Undecided);
        assert_eq!(decide(|s| (s.grace_days, s.facts_days) = (90, 60)).verdict, Verdict::Pass);
        let warn = decide(|s| (s.grace_days, s.facts_days, s.mode) = (90, 30, GateMode::Warn));
        assert_eq!(warn.verdict, Verdict::Warn);
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_compared(pattern in ".{0,20}", text in ".{0,20}") {
            let _ = glob(&pattern, &text);
            proptest::prop_assert!(glob("*", &text));
        }
    }
}
