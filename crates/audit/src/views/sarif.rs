//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>): one rule a check, one result an answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{places, shown};
use crate::model::{Answer, CheckResult, Meta, Report};

/// The report as a SARIF log. Failures are results of kind `fail`; what is not known is `open`, what a person must decide
/// `review`. A waived failure is a suppressed result.
pub fn sarif(report: &Report, version: &str, all: bool) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    let mut results: Vec<Value> = Vec::new();
    let visible = |c: &&CheckResult| all || c.result == Answer::Manual;
    let chosen = shown(report, all).chain(report.checks.iter().filter(|c| !all && visible(c) && c.waived.is_none()));
    for check in chosen {
        let rule_index = *index.entry(check.meta.id).or_insert_with(|| {
            rules.push(rule(&check.meta));
            rules.len() - 1
        });
        results.push(result(check, rule_index));
    }
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "stockade audit", "version": version, "rules": rules}},
            "invocations": [{"executionSuccessful": true}],
            "results": results,
            "columnKind": "utf16CodeUnits"
        }]
    })
}

fn rule(meta: &Meta) -> Value {
    json!({
        "id": meta.id,
        "shortDescription": {"text": meta.title},
        "fullDescription": {"text": meta.why},
        "help": {"text": meta.fix},
        "defaultConfiguration": {"level": level(meta)},
        "properties": {"tags": meta.refs, "profile": meta.level, "effort": meta.effort, "risk": meta.risk}
    })
}

fn level(meta: &Meta) -> &'static str {
    if meta.level == 1 { "error" } else { "warning" }
}

fn result(check: &CheckResult, rule_index: usize) -> Value {
    let kind = match check.result {
        Answer::Fail => "fail",
        Answer::Unknown => "open",
        Answer::Manual => "review",
        Answer::Pass => "pass",
        Answer::NotApplicable => "notApplicable",
    };
    // Only failures have a level (SARIF 2.1.0, 3.27.10).
    let level = if check.result == Answer::Fail { level(&check.meta) } else { "none" };
    let mut value = json!({
        "ruleId": check.meta.id,
        "ruleIndex": rule_index,
        "kind": kind,
        "level": level,
        "message": {"text": format!("{}: {}: {}", check.subject, check.meta.title, check.evidence)},
        "locations": locations(check),
        "partialFingerprints": {"stockadeAudit/v1": format!("{}|{}", check.meta.id, check.subject)},
        "properties": {"subject": check.subject, "evidence": check.evidence}
    });
    if let Some(reason) = &check.waived {
        value["suppressions"] = json!([{"kind": "external", "status": "accepted", "justification": reason}]);
    }
    value
}

fn locations(check: &CheckResult) -> Value {
    let logical = json!([{"fullyQualifiedName": check.subject}]);
    let places = places(check);
    if places.is_empty() {
        return json!([{"logicalLocations": logical}]);
    }
    let list = places.iter().map(|p| {
        json!({
            "physicalLocation": {"artifactLocation": {"uri": uri(&p.file)}, "region": {"startLine": p.line}},
            "logicalLocations": logical,
        })
    });
    Value::Array(list.collect())
}

/// A path as a URI reference (RFC 3986): absolute paths as `file:`, all but unreserved characters escaped.
fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for b in path.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_point_at_their_rules_and_places() {
        let log = sarif(&crate::views::tests::report(), "1", false);
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert_eq!(result["level"] == "none", result["kind"] != "fail");
            assert!(!result["locations"].as_array().unwrap().is_empty());
        }
        let of = |id: &str| run["results"].as_array().unwrap().iter().find(|r| r["ruleId"] == id).unwrap();
        let place = &of("compose-privileged")["locations"][0]["physicalLocation"];
        assert_eq!(
            (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
            (&json!("a%20b.yaml"), &json!(3))
        );
        assert_eq!(of("host-pid")["suppressions"][0]["justification"], "we <need> it");
    }
}
