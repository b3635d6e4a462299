//! Which checks count: `--only`, `--skip`, profile levels, waivers and baselines.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Answer, CheckResult, Meta, Report};

/// A choice of checks.
#[derive(Debug, Default)]
pub struct Selection {
    /// Ids or references; empty is all. `CIS-5` stands for all of section 5.
    pub only: Vec<String>,
    /// Ids or references that are left out.
    pub skip: Vec<String>,
    /// Highest profile level, 1 or 2.
    pub level: Option<u8>,
}

/// A name in `--only`, `--skip` or a waiver that no check has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no check is called `{name}`{}", .near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
pub struct NoSuchCheck {
    /// What was given.
    pub name: String,
    /// The nearest name there is.
    pub near: Option<String>,
}

/// Whether `name` is the check's id, one of its references, or a whole section of a benchmark.
pub fn named(meta: &Meta, name: &str) -> bool {
    let under = |r: &str| r.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ':']));
    meta.id == name || meta.refs.iter().any(|r| *r == name || under(r) || r.strip_prefix("CIS-") == Some(name))
}

impl Selection {
    /// Fails on the first name that no check in `all` has.
    pub fn verify<'m>(&self, all: impl Iterator<Item = &'m Meta> + Clone) -> Result<(), NoSuchCheck> {
        for name in self.only.iter().chain(&self.skip) {
            if !all.clone().any(|m| named(m, name)) {
                let names = all.clone().flat_map(|m| m.refs.iter().copied().chain([m.id]));
                let near = stockade_config::nearest(name, names).map(str::to_owned);
                return Err(NoSuchCheck { name: name.clone(), near });
            }
        }
        Ok(())
    }

    /// Whether a check is chosen.
    pub fn keeps(&self, meta: &Meta) -> bool {
        (self.only.is_empty() || self.only.iter().any(|n| named(meta, n)))
            && !self.skip.iter().any(|n| named(meta, n))
            && self.level.is_none_or(|l| meta.level <= l)
    }

    /// Takes out what is not chosen.
    pub fn apply(&self, report: &mut Report) {
        report.checks.retain(|c| self.keeps(&c.meta));
        report.recount();
    }
}

/// An accepted failure.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Id or reference of the check.
    pub id: String,
    /// The subject it holds for, as the report shows it; absent for all.
    #[serde(default)]
    pub subject: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// Last day on which it holds, `YYYY-MM-DD`.
    #[serde(default)]
    pub until: Option<String>,
}

/// Marks waived failures. Returns what is wrong with the waivers themselves: expired, or matching nothing.
pub fn waive(report: &mut Report, waivers: &[Waiver], today: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for waiver in waivers {
        if let Some(until) = waiver.until.as_ref().filter(|u| u.as_str() < today) {
            complaints.push(format!("waiver of {} expired on {until} ({})", waiver.id, waiver.reason));
            continue;
        }
        let mut used = false;
        for check in &mut report.checks {
            let subject = waiver.subject.as_ref().is_none_or(|s| *s == check.subject);
            if subject && check.result == Answer::Fail && named(&check.meta, &waiver.id) {
                check.waived = Some(waiver.reason.clone());
                used = true;
            }
        }
        if !used {
            complaints.push(format!("waiver of {} matches no failure ({})", waiver.id, waiver.reason));
        }
    }
    report.recount();
    complaints
}

/// Keeps what is new or changed since an earlier report (its JSON form).
pub fn since_baseline(report: &mut Report, baseline: &serde_json::Value) {
    let text = |v: &serde_json::Value, k: &str| v.get(k).and_then(serde_json::Value::as_str).unwrap_or("").to_owned();
    let old: BTreeMap<(String, String), String> = baseline
        .get("checks")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .map(|c| ((text(c, "id"), text(c, "subject")), text(c, "result")))
        .collect();
    let same = |c: &CheckResult| {
        let now = serde_json::to_value(c.result).ok();
        old.get(&(c.meta.id.to_owned(), c.subject.clone())).map(String::as_str) == now.as_ref().and_then(|v| v.as_str())
    };
    report.checks.retain(|c| !same(c));
    report.recount();
}

/// References of a report's failures, for short summaries.
pub fn failing_refs(report: &Report) -> BTreeSet<&'static str> {
    let failing = report.checks.iter().filter(|c| c.result == Answer::Fail && c.waived.is_none());
    failing.flat_map(|c| c.meta.refs.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;
    use crate::docker::facts::DockerFacts;
    use serde_json::json;

    fn report() -> Report {
        let facts =
            DockerFacts::offline(vec![json!({"Name": "/web", "HostConfig": {"Privileged": true}})], vec![], None);
        checks::run(&checks::Subjects { engines: vec![&facts], ..Default::default() })
    }

    #[test]
    fn sections_ids_and_references_choose() {
        for (name, count) in [("CIS-5.5", 1), ("5.5", 1), ("privileged-container", 1), ("CIS-5", 32), ("C.5.3", 4)] {
            let mut r = report();
            Selection { only: vec![name.to_owned()], ..Default::default() }.apply(&mut r);
            assert_eq!(r.checks.len(), count, "{name}");
        }
    }

    #[test]
    fn a_mistyped_name_is_refused_with_the_nearest() {
        let selection = Selection { skip: vec!["privileged-contaner".to_owned()], ..Default::default() };
        let error = selection.verify(checks::all().collect::<Vec<_>>().into_iter()).unwrap_err();
        assert_eq!(error.near.as_deref(), Some("privileged-container"));
    }

    #[test]
    fn waivers_need_to_match_and_to_be_in_time() {
        let waiver = |id: &str, until: Option<&str>| Waiver {
            id: id.to_owned(),
            subject: None,
            reason: "r".to_owned(),
            until: until.map(str::to_owned),
        };
        let mut r = report();
        let before = r.count(Answer::Fail);
        assert_eq!(waive(&mut r, &[waiver("CIS-5.5", Some("2026-12-01"))], "2026-11-24"), Vec::<String>::new());
        assert_eq!(r.count(Answer::Fail), before - 1);
        let complaints =
            waive(&mut report(), &[waiver("CIS-5.5", Some("2026-01-01")), waiver("CIS-5.10", None)], "2026-11-24");
        assert!(complaints[0].contains("expired") && complaints[1].contains("matches no failure"), "{complaints:?}");
    }

    #[test]
    fn a_baseline_leaves_only_changes() {
        let mut r = report();
        let mut old = serde_json::to_value(&r).unwrap();
        since_baseline(&mut r, &old);
        assert!(r.checks.is_empty());
        let mut r = report();
        old["checks"][0]["result"] = json!("other");
        since_baseline(&mut r, &old);
        assert_eq!(r.checks.len(), 1);
    }
}
