//! Each format of a report or bill of materials, validated with the schema that its makers publish (`schemas/README.md`).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use jsonschema::Registry;
use serde_json::{Value, json};
use stockade_advisory::report::views;
use stockade_advisory::report::{LayerOrigin, ScanReport, Statement, Target, assemble};
use stockade_advisory::{Database, MatchOptions, Status};
use stockade_inventory::{
    ImageFacts, Inventory, OsInfo, Package, PackageKind, SbomInfo, Secret, SourcePackage, check_image, write_cyclonedx,
    write_spdx,
};

fn schema(name: &str) -> Value {
    let path = format!("{}/tests/schemas/{name}", env!("CARGO_MANIFEST_DIR"));
    // SARIF's pattern of languages has a bracket too many, which only lenient engines take.
    let text = std::fs::read_to_string(path).unwrap().replace("{2}]?$", "{2}$");
    serde_json::from_str(&text).unwrap()
}

/// Fails with every place that does not fit.
fn validate(file: &str, others: &[(&str, &str)], document: &Value) {
    let mut registry = Registry::new();
    for (address, file) in others {
        registry = registry.add(*address, schema(file)).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let schema = schema(file);
    let validator = jsonschema::options()
        .with_registry(&registry)
        .should_validate_formats(true)
        .offline()
        .build(&schema)
        .unwrap_or_else(|e| panic!("{file}: {e}"));
    let wrong: Vec<String> =
        validator.iter_errors(document).take(20).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{file}:\n{}", wrong.join("\n"));
}

fn package(kind: PackageKind, name: &str, version: &str, licences: &[&str]) -> Package {
    let mut package = Package::new(kind, name, version);
    package.purl = format!("pkg:{}/{}@{version}", kind.purl_type(), name.replace(':', "/").replace(' ', "%20"));
    package.licenses = licences.iter().map(|l| (*l).to_owned()).collect();
    package.path = format!("srv/{name} x/lock\u{1b}.json");
    package.layer = Some(0);
    package
}

/// Packages with findings of all kinds, and with names and licences that need care.
fn inventory() -> Inventory {
    let mut log4j = package(PackageKind::Deb, "liblog4j2-java", "2.13.3-1", &["Apache-2.0"]);
    log4j.source = Some(SourcePackage { name: "apache-log4j2".into(), version: "2.13.3-1".into() });
    let mut twin = log4j.clone();
    twin.path = "elsewhere".into();
    let packages = vec![
        log4j,
        twin,
        package(PackageKind::Golang, "github.com/gin-gonic/gin", "v1.5.0", &["MIT OR Apache-2.0"]),
        package(PackageKind::Cargo, "openssl", "0.10.0", &["no known licence", "GPL-2+"]),
        package(PackageKind::Gem, "rails", "not a version", &["MIT", "MIT"]),
        package(PackageKind::Npm, "lodash", "4.17.0", &[]),
        package(PackageKind::PyPi, "django", "1.0", &["BSD-3-Clause", "Custom & <odd>"]),
        package(PackageKind::Maven, "a:b", "", &[]),
        package(PackageKind::Generic, "", "", &[]),
    ];
    let os = OsInfo { id: "debian".into(), version_id: "11".into(), ..OsInfo::default() };
    let secret = Secret {
        path: ".env x".into(),
        rule: "r".into(),
        title: "t".into(),
        line: 0,
        hint: "h".into(),
        layer: Some(0),
        deleted: true,
    };
    let weaknesses = check_image(&ImageFacts::default());
    Inventory { os: Some(os), packages, secrets: vec![secret], weaknesses, ..Inventory::default() }
}

fn report(name: &str) -> ScanReport {
    let inventory = inventory();
    let database = Database::embedded();
    let matches = database.match_inventory(&inventory, &MatchOptions::default()).unwrap();
    let layers =
        [LayerOrigin { diff_id: format!("sha256:{}", "0".repeat(64)), instruction: Some("RUN \"x\" & y".into()) }];
    let digest = Some(format!("sha256:{}", "1".repeat(64)));
    let target = Target { name: name.into(), kind: "image".into(), digest, os: None };
    let mut report = assemble(target, &inventory, matches, &layers, &database, "0.1.0").unwrap();
    report.say_age("2026-11-24".parse().unwrap());
    assert!(report.findings.len() > 8, "{}", report.findings.len());
    // Every status, with every kind of reason.
    let states = [
        (Status::NotAffected, Some("vulnerable_code_not_present: the class is not loaded")),
        (Status::NotAffected, Some("we do not use it")),
        (Status::NotAffected, None),
        (Status::Unknown, None),
        (Status::Affected, Some("we live with it")),
    ];
    for (finding, (status, reason)) in report.findings.iter_mut().zip(states) {
        finding.status = status;
        finding.vex = reason.map(|reason| {
            Box::new(Statement { by: "f".into(), status: "s".into(), reason: reason.into(), until: None })
        });
    }
    let named = report.findings.get_mut(5).unwrap();
    Arc::make_mut(&mut named.facts).id = "GHSA-aaaa-bbbb-cccc".into();
    report
}

fn empty() -> ScanReport {
    let mut report = report("web:1");
    report.findings.clear();
    report.packages.clear();
    report.unknown.clear();
    report
}

const STAMP: &str = "2026-11-24T00:00:00Z";

#[test]
fn sarif() {
    for report in [report("web:1"), report("/srv/a b"), empty()] {
        validate("sarif-2.1.0.schema.json", &[], &views::sarif(&report));
    }
}

const CYCLONEDX: [(&str, &str); 2] = [
    ("http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json", "spdx-licences.schema.json"),
    ("http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json", "jsf-0.82.schema.json"),
];

#[test]
fn cyclonedx_with_vulnerabilities() {
    for report in [report("web:1"), report("/srv/a b"), empty()] {
        let bom = views::cyclonedx(&report, STAMP, "3e671687-395b-41f5-a30f-a58921a69b79");
        validate("bom-1.6.schema.json", &CYCLONEDX, &bom);
    }
}

fn sbom(write: impl FnOnce(&Inventory, &SbomInfo, &mut Vec<u8>)) -> Value {
    let info =
        SbomInfo { name: "registry.example.org/web:1".into(), version: "sha256:11".into(), created: STAMP.into() };
    let mut bytes = Vec::new();
    write(&inventory(), &info, &mut bytes);
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn bills_of_materials() {
    let bom = sbom(|inventory, info, out| write_cyclonedx(inventory, info, out).unwrap());
    validate("bom-1.6.schema.json", &CYCLONEDX, &bom);
    let spdx = sbom(|inventory, info, out| write_spdx(inventory, info, out).unwrap());
    validate("spdx-2.3.schema.json", &[], &spdx);
}

#[test]
fn spdx_with_vulnerabilities() {
    for report in [report("web:1"), report("/srv/a b"), empty()] {
        let document = views::spdx(&report, STAMP, "3e671687-395b-41f5-a30f-a58921a69b79");
        validate("spdx-2.3.schema.json", &[], &document);
        let references = document["packages"].as_array().unwrap().iter().flat_map(|p| p["externalRefs"].as_array());
        let security = references.flatten().filter(|r| r["referenceCategory"] == "SECURITY").count();
        assert_eq!(security > 0, !report.findings.is_empty());
    }
}

#[test]
fn csaf() {
    let cvss = [
        ("https://www.first.org/cvss/cvss-v2.0.json", "cvss-v2-0.schema.json"),
        ("https://www.first.org/cvss/cvss-v3.0.json", "cvss-v3-0.schema.json"),
        ("https://www.first.org/cvss/cvss-v3.1.json", "cvss-v3-1.schema.json"),
    ];
    for report in [report("web:1"), report("/srv/a b")] {
        validate("csaf-2-0.schema.json", &cvss, &views::csaf(&report, STAMP, "stockade-1"));
    }
}

#[test]
fn openvex() {
    for report in [report("web:1"), report("/srv/a b")] {
        let document = views::openvex(&report, STAMP, "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79");
        validate("openvex.rules.json", &[], &document);
    }
}

#[test]
fn gitlab() {
    for report in [report("web:1"), report("localhost:5000/web:1"), report("/srv/a b"), report("dir"), empty()] {
        let document = views::gitlab(&report, "2026-11-24T00:00:00", "2026-11-24T00:00:01");
        validate("gitlab.rules.json", &[], &document);
    }
}

/// JUnit has no owner; what readers (Jenkins, GitLab) rely on: well-formed XML, counts that agree, names on all cases.
#[test]
fn junit() {
    for report in [report("web:1"), empty()] {
        let xml = views::junit(&report);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let root = document.root_element();
        assert_eq!(root.tag_name().name(), "testsuites");
        let number = |node: &roxmltree::Node<'_, '_>, key: &str| node.attribute(key).unwrap().parse::<usize>().unwrap();
        let (mut tests, mut failures) = (0, 0);
        for suite in root.children().filter(roxmltree::Node::is_element) {
            assert_eq!(suite.tag_name().name(), "testsuite");
            assert!(suite.attribute("name").is_some());
            let cases: Vec<_> = suite.children().filter(roxmltree::Node::is_element).collect();
            let with = |name: &str| cases.iter().filter(|c| c.children().any(|n| n.has_tag_name(name))).count();
            assert_eq!(number(&suite, "tests"), cases.len());
            assert_eq!((number(&suite, "failures"), number(&suite, "skipped")), (with("failure"), with("skipped")));
            for case in &cases {
                assert_eq!(case.tag_name().name(), "testcase");
                assert!(case.attribute("name").is_some_and(|n| !n.is_empty()), "{case:?}");
                assert!(case.attribute("classname").is_some(), "{case:?}");
            }
            tests += cases.len();
            failures += with("failure");
        }
        assert_eq!((number(&root, "tests"), number(&root, "failures")), (tests, failures));
    }
}

#[test]
fn a_wrong_document_does_not_fit() {
    let wrong = std::panic::catch_unwind(|| validate("sarif-2.1.0.schema.json", &[], &json!({"version": "2.1.0"})));
    assert!(wrong.is_err());
}
