//! Matching on small databases made in the test: what merges, what decides, what stays unknown.
#![allow(clippy::unwrap_used)]

use stockade_advisory::database::{Batch, merge};
use stockade_advisory::{Database, MatchOptions, Matches, Severity, Status};
use stockade_inventory::{Inventory, OsInfo, Package, PackageKind, SourcePackage};

struct Facts(Batch);

impl Facts {
    fn new() -> Self {
        Facts(Batch::default())
    }

    /// One OSV record; `rest` is put before the closing brace.
    fn osv(mut self, id: &str, ecosystem: &str, name: &str, events: &str, rest: &str) -> Self {
        let text = format!(
            r#"{{"schema_version": "1.7.3", "id": "{id}", "modified": "2026-01-01T00:00:00Z", "affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "{name}"}},
            "ranges": [{{"type": "ECOSYSTEM", "events": [{events}]}}]}}]{rest}}}"#
        );
        self.0.read_bytes(id, text.into_bytes(), "2026-01-01").unwrap();
        self
    }

    fn document(mut self, name: &str, text: &str) -> Self {
        self.0.read_bytes(name, text.as_bytes().to_vec(), "2026-01-01").unwrap();
        self
    }

    fn database(self) -> Database {
        let file = merge(None, self.0, 0).unwrap();
        Database::from_bytes(Box::new(file), "test".into()).unwrap()
    }

    fn find(self, os: Option<(&str, &str)>, packages: Vec<Package>) -> Matches {
        let os = os.map(|(id, version)| OsInfo { id: id.into(), version_id: version.into(), ..OsInfo::default() });
        let inventory = Inventory { os, packages, ..Inventory::default() };
        self.database().match_inventory(&inventory, &MatchOptions::default()).unwrap()
    }
}

fn ids(matches: &Matches) -> Vec<&str> {
    matches.hits.iter().map(|h| h.vulnerability.id.as_str()).collect()
}

const UP_TO_2: &str = r#"{"introduced": "0"}, {"fixed": "2.0.0"}"#;

#[test]
fn advisories_of_several_sources_about_one_vulnerability_are_one_finding() {
    let matches = Facts::new()
        .osv("PYSEC-2026-1", "PyPI", "django", UP_TO_2, r#", "aliases": ["CVE-2026-1"]"#)
        .osv(
            "GHSA-1111-2222-3333",
            "PyPI",
            "Django",
            UP_TO_2,
            r#", "aliases": ["CVE-2026-1", "PYSEC-2026-1"], "database_specific": {"severity": "HIGH"}"#,
        )
        .osv("GHSA-4444-5555-6666", "PyPI", "django", UP_TO_2, "")
        .find(None, vec![Package::new(PackageKind::PyPi, "Django", "1.9")]);
    assert_eq!(ids(&matches), ["CVE-2026-1", "GHSA-4444-5555-6666"]);
    let first = &matches.hits[0].vulnerability;
    assert_eq!(first.aliases, ["GHSA-1111-2222-3333", "PYSEC-2026-1"]);
    assert_eq!((first.severity, first.severity_source.as_str()), (Severity::High, "GitHub"));
    assert_eq!(first.advisories.len(), 2);
    assert_eq!(*first.fixed, ["2.0.0"]);
}

#[test]
fn an_advisory_of_a_distribution_is_one_finding_for_each_of_its_vulnerabilities() {
    let fixed = r#"{"introduced": "0"}, {"fixed": "1.2-3+deb12u1"}"#;
    let mut package = Package::new(PackageKind::Deb, "libx1", "1.2-3+b1");
    package.source = Some(SourcePackage { name: "x".into(), version: "1.2-3".into() });
    let matches = Facts::new()
        .osv("DSA-1-1", "Debian:12", "x", fixed, r#", "upstream": ["CVE-2026-1", "CVE-2026-2"]"#)
        .osv(
            "DSA-2-1",
            "Debian:12",
            "x",
            r#"{"introduced": "0"}, {"fixed": "1.2-3+deb12u2"}"#,
            r#", "upstream": ["CVE-2026-2"]"#,
        )
        .find(Some(("debian", "12")), vec![package]);
    assert_eq!(ids(&matches), ["CVE-2026-1", "CVE-2026-2"]);
    assert_eq!(matches.hits[0].vulnerability.aliases, ["DSA-1-1"]);
    assert_eq!(*matches.hits[1].vulnerability.fixed, ["1.2-3+deb12u2"], "the later update counts");
}

#[test]
fn ratings_come_from_elsewhere_when_the_distribution_gives_none() {
    let nvd = r#"{"format": "NVD_CVE", "vulnerabilities": [{"cve": {"id": "CVE-2026-1", "vulnStatus": "Analyzed", "metrics": {"cvssMetricV31": [
        {"type": "Primary", "cvssData": {"vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}]}}}]}"#;
    let matches = Facts::new()
        .document("nvd", nvd)
        .osv("DEBIAN-CVE-2026-1", "Debian:12", "x", UP_TO_2, r#", "upstream": ["CVE-2026-1"]"#)
        .find(Some(("debian", "12")), vec![Package::new(PackageKind::Deb, "x", "1.0")]);
    let v = &matches.hits[0].vulnerability;
    assert_eq!((v.severity, v.severity_source.as_str()), (Severity::Critical, "CVSS 3.1"));
}

#[test]
fn what_the_distribution_has_not_found_out_is_unknown_and_what_it_rules_out_is_absent() {
    let tracker = r#"{"x": {
        "CVE-2026-1": {"releases": {"bookworm": {"status": "undetermined", "repositories": {}, "urgency": "not yet assigned"}}},
        "CVE-2026-2": {"releases": {"bookworm": {"status": "open", "repositories": {}, "urgency": "unimportant"}}},
        "CVE-2026-3": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "0", "repositories": {}, "urgency": "low"}}},
        "CVE-2026-4": {"releases": {"bookworm": {"status": "open", "repositories": {}, "urgency": "medium**", "nodsa": "Minor", "nodsa_reason": ""}}}}}"#;
    let matches = Facts::new()
        .document("tracker", tracker)
        .find(Some(("debian", "12")), vec![Package::new(PackageKind::Deb, "x", "1.0")]);
    let told: Vec<(&str, Status, Severity, Option<&str>)> = matches
        .hits
        .iter()
        .map(|h| &h.vulnerability)
        .map(|v| (v.id.as_str(), v.status, v.severity, v.note.word()))
        .collect();
    assert_eq!(
        told,
        [
            ("CVE-2026-1", Status::Unknown, Severity::Unknown, Some("undetermined")),
            ("CVE-2026-2", Status::Affected, Severity::Negligible, Some("unimportant")),
            ("CVE-2026-4", Status::Affected, Severity::Medium, Some("no-advisory")),
        ]
    );
    assert!(matches.unknown.is_empty(), "the tracker knows unfixed ones: {:?}", matches.unknown);
}

#[test]
fn a_version_that_cannot_be_read_is_unknown_once() {
    let matches = Facts::new().osv("GHSA-1", "npm", "a", UP_TO_2, "").osv("GHSA-2", "npm", "a", UP_TO_2, "").find(
        None,
        vec![Package::new(PackageKind::Npm, "a", "git+ssh://x"), Package::new(PackageKind::Npm, "b", "also bad")],
    );
    assert!(matches.hits.is_empty());
    assert_eq!(matches.unknown.len(), 1, "no advisory is about b: {:?}", matches.unknown);
    assert!(matches.unknown[0].why.contains("2 advisories"), "{:?}", matches.unknown);
}

#[test]
fn packages_without_facts_are_unknown() {
    let matches = Facts::new().osv("GHSA-1", "npm", "a", UP_TO_2, "").find(
        Some(("alpine", "3.19.1")),
        vec![
            Package::new(PackageKind::Apk, "musl", "1.2-r0"),
            Package::new(PackageKind::Maven, "a:b", "1"),
            Package::new(PackageKind::Generic, "nginx", "1.2"),
        ],
    );
    let why: Vec<&str> = matches.unknown.iter().map(|u| u.why.as_str()).collect();
    assert!(why.iter().any(|w| w.contains("1 packages of the distribution") && w.contains("Alpine")), "{why:?}");
    assert!(why.iter().any(|w| w.contains("Maven")) && why.iter().any(|w| w.contains("generic")), "{why:?}");
}

#[test]
fn no_operating_system_with_packages_of_one_is_unknown() {
    let matches =
        Facts::new().osv("GHSA-1", "npm", "a", UP_TO_2, "").find(None, vec![Package::new(PackageKind::Deb, "x", "1")]);
    assert!(matches.unknown.iter().any(|u| u.what == "os"), "{:?}", matches.unknown);
}

#[test]
fn files_of_the_distribution_are_judged_by_it_alone() {
    let mut owned = Package::new(PackageKind::PyPi, "requests", "1.0");
    owned.owned_by_os = true;
    let matches = Facts::new().osv("GHSA-1", "PyPI", "requests", UP_TO_2, "").find(None, vec![owned]);
    assert!(matches.hits.is_empty());
}

#[test]
fn windows_only_and_withdrawn_advisories_do_not_match() {
    let windows = r#"{"schema_version": "1", "id": "GO-1", "affected": [{"package": {"ecosystem": "Go", "name": "stdlib"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
        "ecosystem_specific": {"imports": [{"path": "os", "goos": ["windows"]}]}}]}"#;
    let withdrawn = r#"{"schema_version": "1", "id": "GO-2", "withdrawn": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "Go", "name": "stdlib"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}]}"#;
    let matches = Facts::new()
        .document("a", windows)
        .document("b", withdrawn)
        .osv("GO-3", "Go", "stdlib", r#"{"introduced": "1.21.0-0"}, {"fixed": "1.21.4"}"#, "")
        .find(None, vec![Package::new(PackageKind::Golang, "stdlib", "go1.21.3")]);
    assert_eq!(ids(&matches), ["GO-3"]);
}

#[test]
fn signed_kernels_are_matched_as_the_kernel() {
    let mut image = Package::new(PackageKind::Deb, "linux-image-6.1.0-30-amd64", "6.1.124-1");
    image.source = Some(SourcePackage { name: "linux-signed-amd64".into(), version: "6.1.124+1".into() });
    let matches = Facts::new()
        .osv(
            "DEBIAN-CVE-2026-1",
            "Debian:12",
            "linux",
            r#"{"introduced": "0"}, {"fixed": "6.1.187-1"}"#,
            r#", "upstream": ["CVE-2026-1"]"#,
        )
        .find(Some(("debian", "12")), vec![image]);
    assert_eq!(ids(&matches), ["CVE-2026-1"]);
}

#[test]
fn ubuntus_oval_names_binary_packages() {
    let oval = r#"<oval_definitions><definitions><definition class="vulnerability"><metadata><title>CVE-2026-1 on Ubuntu 22.04 LTS</title>
        <affected><platform>Ubuntu 22.04 LTS</platform></affected><reference source="CVE" ref_id="CVE-2026-1"/></metadata><criteria><criterion test_ref="t"/></criteria></definition></definitions>
        <tests><dpkginfo_test id="t"><object object_ref="o"/><state state_ref="s"/></dpkginfo_test></tests><objects><dpkginfo_object id="o"><name>libssl3</name></dpkginfo_object></objects>
        <states><dpkginfo_state id="s"><evr operation="less than">0:3.0.2-0ubuntu1.15</evr></dpkginfo_state></states></oval_definitions>"#;
    let package = |version: &str| {
        let mut p = Package::new(PackageKind::Deb, "libssl3", version);
        p.source = Some(SourcePackage { name: "openssl".into(), version: version.into() });
        p
    };
    let found =
        Facts::new().document("o.xml", oval).find(Some(("ubuntu", "22.04")), vec![package("3.0.2-0ubuntu1.10")]);
    assert_eq!(ids(&found), ["CVE-2026-1"]);
    let clean =
        Facts::new().document("o.xml", oval).find(Some(("ubuntu", "22.04")), vec![package("3.0.2-0ubuntu1.15")]);
    assert!(clean.hits.is_empty() && clean.unknown.is_empty(), "{:?}", clean.unknown);
}

#[test]
fn a_damaged_database_is_an_error_not_an_empty_answer() {
    let batch = Facts::new().osv("GHSA-1", "npm", "a", UP_TO_2, "").0;
    let mut file = merge(None, batch, 0).unwrap();
    let at = file.len() - 40;
    // Whatever the byte is, either the answer stays the same or it is an error.
    for i in 352..at {
        file[i] ^= 0xff;
        let inventory =
            Inventory { packages: vec![Package::new(PackageKind::Npm, "a", "1.0.0")], ..Inventory::default() };
        if let Ok(database) = Database::from_bytes(Box::new(file.clone()), "test".into()) {
            let _ = database.match_inventory(&inventory, &MatchOptions::default());
        }
        file[i] ^= 0xff;
    }
}
