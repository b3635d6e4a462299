//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>): one rule a vulnerability, one result a finding.

use crate::matching::Status;
use crate::report::{Finding, ScanReport};
use crate::severity::{Cvss, Severity};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stockade_advisory_db::names::canonical_url;

/// The report as a SARIF log. What is not known becomes tool notifications, so that it is not lost.
pub fn sarif(report: &ScanReport) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    let mut results: Vec<Value> = Vec::new();
    for finding in &report.findings {
        let rule_index = *index.entry(finding.id.as_str()).or_insert_with(|| {
            rules.push(rule(finding));
            rules.len() - 1
        });
        results.push(result(finding, rule_index));
    }
    for (id, text, level, path, line, instruction) in others(report) {
        let rule_index = rules.iter().position(|r| r["id"] == id.as_str()).unwrap_or_else(|| {
            rules.push(json!({"id": id, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level},
                "properties": {"tags": ["security"]}}));
            rules.len() - 1
        });
        let mut place = location(&path, instruction.as_deref());
        place["physicalLocation"]["region"]["startLine"] = json!(line.max(1));
        results.push(json!({"ruleId": id, "ruleIndex": rule_index, "level": level, "message": {"text": text},
            "locations": [place], "partialFingerprints": {"stockade/v1": format!("{id}|{path}|{line}")}}));
    }
    let notifications: Vec<Value> = report
        .unknown
        .iter()
        .map(|u| {
            let mut value = json!({"level": "warning", "message": {"text": u.why}, "descriptor": {"id": u.what}});
            if !u.path.is_empty() {
                value["locations"] = json!([location(&u.path, None)]);
            }
            value
        })
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": report.scanner.name, "version": report.scanner.version, "rules": rules}},
            "invocations": [{"executionSuccessful": true, "toolExecutionNotifications": notifications}],
            "originalUriBaseIds": {"ROOT": {"description": {"text": format!("the root of {}", report.target.name)}}},
            "results": results,
            "columnKind": "utf16CodeUnits"
        }]
    })
}

type Other = (String, String, &'static str, String, u32, Option<String>);

/// Credentials and weak settings: rule, words, level, path, line, instruction.
fn others(report: &ScanReport) -> Vec<Other> {
    let secrets = report.secrets.iter().map(|s| {
        let deleted = if s.deleted { ", deleted in an upper layer" } else { "" };
        let text = format!("{}: {}{deleted}", s.title, s.hint);
        (format!("secret/{}", s.rule), text, "error", s.path.clone(), s.line, s.instruction.clone())
    });
    let weaknesses = report.weaknesses.iter().map(|w| {
        let text = format!("{}: {}", w.evidence, w.fix);
        (format!("config/{}", w.id), text, level(w.severity), w.path.clone(), 0, w.instruction.clone())
    });
    secrets.chain(weaknesses).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Unknown => "warning",
        Severity::Low | Severity::Negligible => "note",
    }
}

fn rule(finding: &Finding) -> Value {
    let mut rule = json!({
        "id": finding.id,
        "name": "KnownVulnerability",
        "shortDescription": {"text": format!("{} in {}", finding.id, finding.component())},
        "fullDescription": {"text": format!("{} ({} severity), known also as: {}", finding.id, finding.severity, also(finding))},
        "defaultConfiguration": {"level": level(finding.severity)},
        "properties": {"tags": ["security", "vulnerability", finding.severity.word()], "precision": "very-high"}
    });
    // GitHub shows this number; it is the CVSS score as text.
    if let Some(rating) = Cvss::preferred(&finding.cvss) {
        rule["properties"]["security-severity"] = json!(format!("{:.1}", rating.score));
    }
    if let Some(url) = finding.references.first().cloned().or_else(|| canonical_url(&finding.id)) {
        rule["helpUri"] = json!(url);
    }
    rule
}

fn also(finding: &Finding) -> String {
    if finding.aliases.is_empty() { "-".to_owned() } else { finding.aliases.join(", ") }
}

fn result(finding: &Finding, rule_index: usize) -> Value {
    let package = &finding.package;
    let fixed = if finding.fixed.is_empty() {
        "no fixed version is known".to_owned()
    } else {
        format!("fixed in {}", finding.fixed.join(", "))
    };
    let exploited = if finding.known_exploited() { "; known to be exploited" } else { "" };
    let mut value = json!({
        "ruleId": finding.id,
        "ruleIndex": rule_index,
        "level": level(finding.severity),
        "kind": if finding.status == Status::Unknown { "review" } else { "fail" },
        "message": {"text": format!("{} {} is affected by {} ({}): {fixed}{exploited}", package.name, package.version, finding.id, finding.severity)},
        "locations": [location(&finding.path, finding.instruction.as_deref())],
        // The same finding keeps its identity over scans: id, package and place, not versions.
        "partialFingerprints": {"stockade/v1": format!("{}|{}|{}|{}", finding.id, package.kind, package.name, finding.path)},
        "properties": {"purl": package.purl, "fixedVersions": &*finding.fixed, "layer": finding.layer.as_deref()}
    });
    if finding.status == Status::NotAffected || finding.ignored.is_some() {
        // A suppressed result must not be of kind "review".
        let statement = finding.ignored.as_ref().or(finding.vex.as_ref());
        value["kind"] = json!("fail");
        value["suppressions"] = json!([{"kind": "external", "status": "accepted", "justification": statement.map_or("", |s| s.reason.as_str())}]);
    }
    if value["kind"] == "review" {
        // SARIF 3.27.10: a level other than "none" belongs to kind "fail".
        value["level"] = json!("none");
    }
    value
}

fn location(path: &str, instruction: Option<&str>) -> Value {
    let mut value = json!({"physicalLocation": {"artifactLocation": {"uri": uri(path), "uriBaseId": "ROOT"}, "region": {"startLine": 1}}});
    if let Some(instruction) = instruction {
        value["message"] = json!({"text": format!("brought by {instruction}")});
    }
    value
}

/// A path as a relative URI reference (RFC 3986): everything but unreserved characters and `/` is escaped.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
