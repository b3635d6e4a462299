//! `docs/schemas/scan-v1.json` describes what is written: a real report fits it, and knows no field that it lacks.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use stockade_advisory::report::{BaseImage, Drift, LayerOrigin, News, ScanReport, Target, assemble};
use stockade_advisory::{Database, MatchOptions};
use stockade_inventory::{ImageFacts, Inventory, OsInfo, Package, PackageKind, Secret, SourcePackage, check_image};

/// Checks the keywords that our schemas use. Output: what does not fit, each with its place.
fn check(schema: &Value, root: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        return check(target, root, value, place, wrong);
    }
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |t: &str| t == name || (t == "number" && name == "integer");
    let types = match schema.get("type") {
        Some(Value::String(t)) => fits(t),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(fits),
        _ => true,
    };
    if !types {
        wrong.push(format!("{place} is {name}"));
    }
    if schema.get("const").is_some_and(|c| c != value)
        || schema.get("enum").is_some_and(|e| !e.as_array().unwrap().contains(value))
    {
        wrong.push(format!("{place} is {value}"));
    }
    if let (Some(object), Some(properties)) = (value.as_object(), schema.get("properties").and_then(Value::as_object)) {
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
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

#[test]
fn a_report_with_everything_in_it_fits_the_schema() {
    let mut log4j = Package::new(PackageKind::Deb, "liblog4j2-java", "2.13.3-1");
    log4j.source = Some(SourcePackage { name: "apache-log4j2".into(), version: "2.13.3-1".into() });
    log4j.layer = Some(0);
    log4j.licenses = vec!["Apache-2.0".into()];
    let packages = vec![
        log4j,
        Package::new(PackageKind::Golang, "github.com/gin-gonic/gin", "v1.5.0"),
        Package::new(PackageKind::Cargo, "openssl", "0.10.0"),
        Package::new(PackageKind::Gem, "rails", "not a version"),
        Package::new(PackageKind::Npm, "lodash", "4.17.0"),
        Package::new(PackageKind::Maven, "a:b", "1"),
    ];
    let os = OsInfo { id: "debian".into(), version_id: "11".into(), ..OsInfo::default() };
    let secret = Secret {
        path: ".env".into(),
        rule: "r".into(),
        title: "t".into(),
        line: 1,
        hint: "h".into(),
        layer: Some(0),
        deleted: true,
    };
    let weaknesses = check_image(&ImageFacts::default());
    let inventory = Inventory { os: Some(os), packages, secrets: vec![secret], weaknesses, ..Inventory::default() };
    let database = Database::embedded();
    let matches = database.match_inventory(&inventory, &MatchOptions::default()).unwrap();
    let layers = [LayerOrigin { diff_id: "sha256:00".into(), instruction: Some("RUN x".into()) }];
    let target = Target { name: "t".into(), kind: "image".into(), digest: Some("sha256:11".into()), os: None };
    let mut report = assemble(target, &inventory, matches, &layers, &database, "0").unwrap();
    report.say_age("2026-11-24".parse().unwrap());
    report.base = Some(BaseImage { name: "debian:11".into(), layers: vec!["sha256:00".into()] });
    report.drift = Some(Drift::between(&Inventory::default(), &inventory));
    let earlier = ScanReport { findings: Vec::new(), ..report.clone() };
    let news = News::between(&earlier, &report);
    assert!(news.gone.is_empty() && news.added.iter().any(|n| n.component == "apache-log4j2"));
    report.news = Some(news);
    let kinds: Vec<&str> = report.unknown.iter().map(|u| u.what.as_str()).collect();
    for expected in ["age", "coverage", "version"] {
        assert!(kinds.contains(&expected), "{:?}", report.unknown);
    }
    assert!(report.findings.iter().any(|f| !f.imports.is_empty()), "Go tells the symbols");
    assert!(report.findings.iter().any(|f| !f.cvss.is_empty()));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/scan-v1.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    check(&schema, &schema, &serde_json::to_value(&report).unwrap(), "report", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
