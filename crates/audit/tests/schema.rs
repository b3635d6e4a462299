//! `docs/schemas/audit-v1.json` describes what is written: a report with everything in it fits, and has no field that the
//! schema lacks.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stockade_audit::docker::facts::DockerFacts;
use stockade_audit::host::Host;
use stockade_audit::select::{Waiver, waive};
use stockade_audit::{Report, Section, Subjects, checks, compose, kubernetes};

/// Checks the keywords that the schema uses. Output: what does not fit, each with its place.
fn check(schema: &Value, root: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        check(target, root, value, place, wrong);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match schema.get("type") {
        Some(Value::String(t)) => t == kind,
        Some(Value::Array(all)) => all.iter().any(|t| t == kind),
        _ => true,
    };
    let constant = schema.get("const").is_none_or(|c| c == value);
    let listed = schema.get("enum").and_then(Value::as_array).is_none_or(|e| e.contains(value));
    if !(fits && constant && listed) {
        wrong.push(format!("{place}: {value}"));
    }
    if let (Some(object), Some(properties)) = (value.as_object(), schema.get("properties").and_then(Value::as_object)) {
        for key in schema["required"].as_array().unwrap() {
            if !object.contains_key(key.as_str().unwrap()) {
                wrong.push(format!("{place} lacks {key}"));
            }
        }
        for (key, value) in object {
            match properties.get(key) {
                Some(schema) => check(schema, root, value, &format!("{place}.{key}"), wrong),
                None => wrong.push(format!("{place}.{key} is not in the schema")),
            }
        }
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (i, item) in list.iter().enumerate() {
            check(items, root, item, &format!("{place}[{i}]"), wrong);
        }
    }
}

fn full_report() -> Report {
    let container = json!({"Name": "/web", "HostConfig": {"Privileged": true}});
    let image = json!({"Id": "sha256:1", "RepoTags": ["a:1"], "Config": {}});
    let docker = DockerFacts::offline(vec![container], vec![image], None);
    let host = Host::live().unwrap();
    let own = checks::StockadeFacts { gate_mode: "off".to_owned(), ..checks::StockadeFacts::default() };
    let mut report = checks::run(&Subjects {
        host: Some(&host),
        sections: vec![Section::Host, Section::Kernel, Section::DaemonFiles, Section::Containerd, Section::Podman],
        docker: Some(&docker),
        daemon: true,
        engines: vec![&docker],
        stockade: Some(&own),
    });
    report.checks.extend(compose::check("c.yaml", b"services: {web: {privileged: true}}").unwrap());
    report.checks.extend(kubernetes::check("k.yaml", b"kind: Pod\nspec: {containers: [{name: a}]}").unwrap());
    let waiver = Waiver { id: "CIS-5.5".to_owned(), subject: None, reason: "r".to_owned(), until: None };
    waive(&mut report, &[waiver], "2026-01-01");
    report
}

#[test]
fn a_report_with_everything_in_it_fits_the_schema() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string("../../docs/schemas/audit-v1.json").unwrap()).unwrap();
    for report in [full_report(), Report::new(Vec::new())] {
        let value = serde_json::to_value(&report).unwrap();
        let mut wrong = Vec::new();
        check(&schema, &schema, &value, "report", &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn every_result_carries_what_the_contract_promises() {
    let report = serde_json::to_value(full_report()).unwrap();
    let mut answers = BTreeSet::new();
    for check in report["checks"].as_array().unwrap() {
        for key in ["id", "refs", "result", "subject", "evidence", "fix"] {
            assert!(check.get(key).is_some_and(|v| !v.is_null() && v != ""), "{key}: {check}");
        }
        answers.insert(check["result"].as_str().unwrap().to_owned());
    }
    assert_eq!(answers.len(), 5, "{answers:?}");
    assert_eq!(report.as_object().unwrap().keys().next().map(String::as_str), Some("schema"));
}
