//! Reports of `lint` and `audit` beside the schemas of their formats (`tests/schemas`, `docs/schemas`): everything that must be
//! there is, everything that is there may be.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The keywords of JSON Schema that the schemas use. Output: what does not fit, each with its place.
fn check(schema: &Value, root: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(root.pointer(reference.trim_start_matches('#')).unwrap(), root, value, place, wrong);
    }
    let fits = schema["type"].as_str().is_none_or(|kind| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("{other}"),
    });
    let listed = schema["enum"].as_array().is_none_or(|e| e.contains(value));
    let constant = schema.get("const").is_none_or(|c| c == value);
    let large = schema["minimum"].as_i64().is_none_or(|m| value.as_i64().is_some_and(|v| v >= m));
    let long = schema["minItems"].as_u64().is_none_or(|m| value.as_array().is_some_and(|a| a.len() as u64 >= m));
    if !(fits && listed && constant && large && long) {
        wrong.push(format!("{place}: {value}"));
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        if value.get(key.as_str().unwrap()).is_none() {
            wrong.push(format!("{place} lacks {key}"));
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(schema) => check(schema, root, inner, &format!("{place}.{key}"), wrong),
            None if schema["additionalProperties"] == Value::Bool(false) => {
                wrong.push(format!("{place}.{key} is unknown"))
            }
            None => {}
        }
    }
    if let Some(items) = schema.get("items") {
        for (i, item) in value.as_array().into_iter().flatten().enumerate() {
            check(items, root, item, &format!("{place}[{i}]"), wrong);
        }
    }
}

#[track_caller]
fn fits(schema: &str, value: &Value) {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let mut wrong = Vec::new();
    check(&schema, &schema, value, "$", &mut wrong);
    assert!(wrong.is_empty(), "{}:\n{}", schema["title"], wrong.join("\n"));
}

/// Elements of an XML report, each with its parent and attributes; the report must be well formed.
fn elements(xml: &str) -> Vec<(String, String, Vec<String>)> {
    let (mut open, mut out): (Vec<String>, Vec<_>) = (Vec::new(), Vec::new());
    let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("the declaration");
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("an open tag: {part}"));
        for entity in text.split('&').skip(1).chain(tag.split('&').skip(1)) {
            let name = entity.split(';').next().unwrap();
            assert!(name.starts_with('#') || ["amp", "lt", "gt", "quot", "apos"].contains(&name), "&{name}");
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let inner = tag.strip_suffix('/').unwrap_or(tag);
        let name = inner.split_whitespace().next().unwrap().to_owned();
        let attributes: Vec<String> = inner
            .split("=\"")
            .filter_map(|p| p.rsplit(['"', ' ', '\n']).next())
            .filter(|a| !a.is_empty() && *a != name)
            .map(str::to_owned)
            .collect();
        assert_eq!(inner.matches('"').count() % 2, 0, "{tag}");
        out.push((open.last().cloned().unwrap_or_default(), name.clone(), attributes));
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    out
}

/// Whether each element stands where it may, with the attributes that it must have.
#[track_caller]
fn shaped(xml: &str, grammar: &[(&str, &[&str], &[&str])]) {
    for (parent, name, attributes) in elements(xml) {
        let Some((_, parents, needed)) = grammar.iter().find(|(n, _, _)| *n == name) else { panic!("<{name}>") };
        assert!(parents.contains(&parent.as_str()), "<{name}> in <{parent}>");
        for attribute in *needed {
            assert!(attributes.iter().any(|a| a == attribute), "<{name}> lacks {attribute}: {attributes:?}");
        }
    }
}

/// JUnit as its readers agree on it.
const JUNIT: &[(&str, &[&str], &[&str])] = &[
    ("testsuites", &[""], &[]),
    ("testsuite", &["testsuites", ""], &["name", "tests"]),
    ("properties", &["testsuite"], &[]),
    ("property", &["properties"], &["name", "value"]),
    ("testcase", &["testsuite"], &["name", "classname"]),
    ("failure", &["testcase"], &["message"]),
    ("error", &["testcase"], &["message"]),
    ("skipped", &["testcase"], &[]),
    ("system-out", &["testcase", "testsuite"], &[]),
];

const CHECKSTYLE: &[(&str, &[&str], &[&str])] = &[
    ("checkstyle", &[""], &["version"]),
    ("file", &["checkstyle"], &["name"]),
    ("error", &["file"], &["line", "severity", "message", "source"]),
];

fn run(dir: &Path, arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(arguments)
        .current_dir(dir)
        .env("STOCKADE_ROOT", dir.join("state"))
        .env("STOCKADE_RUN", dir.join("run"))
        .env("HOME", dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1 | 3 | 4)), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn json(dir: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&run(dir, arguments)).unwrap()
}

#[test]
fn lint_writes_what_the_schemas_say() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // Characters that every format must escape, and an error of syntax.
    let weak = "FROM debian\nRUN apt-get update && apt-get install curl \"<&>'é\"\nRUN echo $X `ls`\nENV DB_PASSWORD=\"<x>&\"\nCMD run\nNOPE x\n";
    std::fs::write(at.join("Docker file"), weak).unwrap();
    std::fs::write(at.join("good"), "FROM scratch\n").unwrap();
    let lint = |format: &'static str| ["lint", "-f", format, "Docker file", "good"];
    fits(include_str!("../../../docs/schemas/lint-v1.json"), &json(at, &lint("json")));
    fits(include_str!("schemas/sarif.json"), &json(at, &lint("sarif")));
    fits(include_str!("schemas/codequality.json"), &json(at, &lint("gitlab")));
    fits(include_str!("schemas/sonarqube.json"), &json(at, &lint("sonarqube")));
    shaped(&run(at, &lint("checkstyle")), CHECKSTYLE);
    shaped(&run(at, &lint("junit")), JUNIT);
}

#[test]
fn audit_writes_what_the_schemas_say() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::write(at.join("c.yaml"), "services:\n  \"<web>&\":\n    image: a\n    privileged: true\n").unwrap();
    let audit = |format: &'static str| ["audit", "compose", "c.yaml", "--format", format];
    fits(include_str!("schemas/sarif.json"), &json(at, &audit("sarif")));
    shaped(&run(at, &audit("junit")), JUNIT);
}
