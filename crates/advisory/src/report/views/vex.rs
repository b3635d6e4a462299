//! Statements about findings for other tools: OpenVEX 0.2.0 and CSAF 2.0 with the profile "VEX".
//!
//! What a person or document ruled out is `not_affected` with its reason; what matching found is `affected`, with the
//! version that fixes it; what could not be decided is `under_investigation`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::matching::Status;
use crate::report::{Finding, ScanReport};

/// OpenVEX's justifications (specification 0.2.0, "Status Justifications").
const JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

/// The status of a finding, as VEX names it, with the reason that a person gave.
fn status(finding: &Finding) -> (&'static str, Option<&str>) {
    let stated = finding.ignored.as_ref().or(finding.vex.as_ref());
    let reason = stated.map(|s| s.reason.as_str());
    match (finding.status, finding.vex.as_ref().map(|s| s.status.as_str())) {
        (Status::NotAffected, Some("fixed")) => ("fixed", reason),
        (Status::NotAffected, _) => ("not_affected", reason),
        (Status::Unknown, _) => ("under_investigation", None),
        (Status::Affected, _) => ("affected", reason),
    }
}

fn action(finding: &Finding) -> String {
    match finding.fixed.first() {
        Some(version) => format!("upgrade {} to {version} or later", finding.component()),
        None => "no fixed version is known".to_owned(),
    }
}

/// A purl for the scanned thing, where it has a digest.
fn product(report: &ScanReport) -> String {
    let name: String =
        report.target.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    match &report.target.digest {
        Some(digest) => format!("pkg:oci/{name}@{}", digest.replace(':', "%3A")),
        None => format!("pkg:generic/{name}"),
    }
}

/// The report as an OpenVEX document. `time` is RFC 3339, `id` an IRI that names the document.
pub fn openvex(report: &ScanReport, time: &str, id: &str) -> Value {
    let product = product(report);
    // A package that is there twice has one statement: the schema wants no two alike.
    let mut seen = BTreeSet::new();
    let statements: Vec<Value> = report
        .findings
        .iter()
        .filter(|f| seen.insert((f.id.as_str(), f.package.purl.as_str(), status(f))))
        .map(|f| {
            let (status, reason) = status(f);
            let mut statement = json!({
                "vulnerability": {"name": f.id, "aliases": f.aliases},
                "products": [{"@id": product, "subcomponents": [{"@id": f.package.purl, "identifiers": {"purl": f.package.purl}}]}],
                "status": status,
            });
            match (status, reason) {
                ("not_affected", reason) => {
                    let reason = reason.unwrap_or("ruled out by a statement");
                    let (first, rest) = reason.split_once(':').unwrap_or((reason, ""));
                    // The schema wants one of the two, not both.
                    if JUSTIFICATIONS.contains(&first) {
                        statement["justification"] = json!(first);
                        if !rest.trim().is_empty() {
                            statement["status_notes"] = json!(rest.trim());
                        }
                    } else {
                        statement["impact_statement"] = json!(reason);
                    }
                }
                ("affected", reason) => {
                    // A finding that a person chose to live with is affected all the same.
                    statement["action_statement"] = json!(action(f));
                    if let Some(reason) = reason {
                        statement["status_notes"] = json!(reason);
                    }
                }
                _ => {}
            }
            statement
        })
        .collect();
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": id,
        "author": format!("{} {}", report.scanner.name, report.scanner.version),
        "timestamp": time,
        "version": 1,
        "statements": statements,
    })
}

/// The report as a CSAF 2.0 document of the profile "VEX". `time` is RFC 3339, `id` names the document.
pub fn csaf(report: &ScanReport, time: &str, id: &str) -> Value {
    let purls: BTreeSet<&str> = report.findings.iter().map(|f| f.package.purl.as_str()).collect();
    let branches: Vec<Value> = purls
        .iter()
        .map(|purl| {
            json!({"category": "product_version", "name": purl, "product": {
                "name": purl, "product_id": purl, "product_identification_helper": {"purl": purl}}})
        })
        .collect();
    let mut by_id: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        by_id.entry(&finding.id).or_default().push(finding);
    }
    let publisher = format!("{} {}", report.scanner.name, report.scanner.version);
    json!({
        "document": {
            "category": "csaf_vex",
            "csaf_version": "2.0",
            "title": format!("Vulnerabilities of {}", report.target.name),
            "publisher": {"category": "user", "name": publisher, "namespace": "https://stockade.dev"},
            "tracking": {
                "id": id, "status": "final", "version": "1", "initial_release_date": time, "current_release_date": time,
                "revision_history": [{"date": time, "number": "1", "summary": "made by a scan"}],
            },
        },
        "product_tree": {"branches": [{"category": "vendor", "name": report.target.name, "branches": branches}]},
        "vulnerabilities": by_id.iter().map(|(id, findings)| vulnerability(id, findings)).collect::<Vec<_>>(),
    })
}

fn vulnerability(id: &str, findings: &[&Finding]) -> Value {
    let mut states: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut threats = Vec::new();
    let mut remediations = Vec::new();
    for finding in findings {
        let purl = finding.package.purl.as_str();
        let (status, reason) = status(finding);
        let key = match status {
            "affected" => "known_affected",
            "not_affected" => "known_not_affected",
            other => other,
        };
        states.entry(key).or_default().insert(purl);
        match key {
            // CSAF 2.0, 4.5: what is affected needs a remediation, what is not needs a reason.
            "known_affected" => {
                let category = if finding.is_fixable() { "vendor_fix" } else { "none_available" };
                remediations.push(json!({"category": category, "details": action(finding), "product_ids": [purl]}));
            }
            "known_not_affected" => threats.push(json!({"category": "impact",
                "details": reason.unwrap_or("ruled out by a statement"), "product_ids": [purl]})),
            _ => {}
        }
    }
    let mut value = json!({"product_status": states, "notes": [{"category": "summary", "text": id}]});
    // Only CVEs go by that name; others are ids of systems (CSAF 2.0, 3.2.3.2 and 3.2.3.6).
    if id.starts_with("CVE-") {
        value["cve"] = json!(id);
    } else {
        value["ids"] = json!([{"system_name": "advisory", "text": id}]);
    }
    for (key, list) in [("threats", threats), ("remediations", remediations)] {
        if !list.is_empty() {
            value[key] = json!(list);
        }
    }
    value
}
