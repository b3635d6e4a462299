//! A root made from Debian 12's release without its security suite lacks fixes; a root with them lacks none.
//!
//! The versions are those of the archive on the day of the embedded facts (2026-11-24): `bookworm/main` against
//! `bookworm-security/main`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use stockade_advisory::report::views::{TableOptions, table};
use stockade_advisory::report::{ScanReport, Target, assemble};
use stockade_advisory::{Database, MatchOptions, Severity, Status};
use stockade_inventory::{Options, scan_dir};

/// Binary package, source package, version in the release, version in the security suite.
const PACKAGES: [(&str, &str, &str, &str); 5] = [
    ("openssl", "openssl", "3.0.20-1~deb12u2", "3.0.22-1~deb12u2"),
    ("libssl3", "openssl", "3.0.20-1~deb12u2", "3.0.22-1~deb12u2"),
    ("libexpat1", "expat", "2.5.0-1+deb12u2", "2.5.0-1+deb12u5"),
    ("apache2-bin", "apache2", "2.4.68-1~deb12u1", "2.4.71-1~deb12u1"),
    ("linux-libc-dev", "linux", "6.1.176-1", "6.1.192-2"),
];

fn root(dir: &Path, version_id: &str, secure: bool) {
    fs::create_dir_all(dir.join("etc")).unwrap();
    fs::create_dir_all(dir.join("var/lib/dpkg")).unwrap();
    let release = format!(
        "PRETTY_NAME=\"Debian GNU/Linux {version_id}\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"{version_id}\"\nID=debian\n"
    );
    fs::write(dir.join("etc/os-release"), release).unwrap();
    let mut status = String::new();
    for (name, source, main, security) in PACKAGES {
        let version = if secure { security } else { main };
        let source = if name == source { String::new() } else { format!("Source: {source}\n") };
        write!(
            status,
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n{source}Version: {version}\n\n"
        )
        .unwrap();
    }
    fs::write(dir.join("var/lib/dpkg/status"), status).unwrap();
}

fn scan(dir: &Path, options: MatchOptions) -> ScanReport {
    let database = Database::embedded();
    let inventory = scan_dir(dir, &Options::default()).unwrap();
    let matches = database.match_inventory(&inventory, &options).unwrap();
    let target = Target { name: "fixture".into(), kind: "dir".into(), ..Target::default() };
    assemble(target, &inventory, matches, &[], &database, "test").unwrap()
}

#[test]
fn a_release_without_its_security_suite_lacks_fixes() {
    let dir = tempfile::tempdir().unwrap();
    root(dir.path(), "12", false);
    let report = scan(dir.path(), MatchOptions::default());
    assert_eq!(report.packages.len(), 5);
    for (package, id, fixed) in [
        ("libssl3", "CVE-2026-75806", "3.0.22-1~deb12u2"),
        ("openssl", "CVE-2026-75806", "3.0.22-1~deb12u2"),
        ("libexpat1", "CVE-2026-77214", "2.5.0-1+deb12u5"),
        ("libexpat1", "CVE-2026-56412", "2.5.0-1+deb12u3"),
        ("apache2-bin", "CVE-2026-93546", "2.4.71-1~deb12u1"),
    ] {
        let found = report.findings.iter().find(|f| f.package.name == package && f.id == id);
        let found = found.unwrap_or_else(|| panic!("{id} of {package} is missing"));
        assert_eq!((found.status, &*found.fixed), (Status::Affected, &[fixed.to_owned()][..]), "{id}");
        assert!(found.advisories[0].why.ends_with(fixed), "{:?}", found.advisories);
    }
    // What the release's own version fixed already is not reported.
    assert!(!report.findings.iter().any(|f| f.id == "CVE-2026-9076"), "3.0.20-1~deb12u2 fixes it");
    assert!(!report.findings.iter().any(|f| f.package.name == "linux-libc-dev"), "headers are no kernel");
    assert!(report.notes[0].contains("headers"), "{:?}", report.notes);
}

#[test]
fn with_the_security_suite_nothing_is_found_and_it_is_no_promise() {
    let dir = tempfile::tempdir().unwrap();
    root(dir.path(), "12", true);
    let mut report = scan(dir.path(), MatchOptions::default());
    assert_eq!(
        report.findings.iter().map(|f| format!("{} {}", f.id, f.package.name)).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    assert!(
        report.unknown.iter().any(|u| u.what == "coverage" && u.why.contains("fixed vulnerabilities only")),
        "{:?}",
        report.unknown
    );
    report.say_age("2026-11-25".parse().unwrap());
    let text = table(&report, &TableOptions::default());
    assert!(
        text.contains("No known vulnerability in 5 packages.") && text.contains("the result is incomplete"),
        "{text}"
    );
    assert!(text.contains("Debian:12 until 2026-11-24"), "{text}");
}

#[test]
fn kernel_headers_are_matched_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    root(dir.path(), "12", false);
    let report = scan(dir.path(), MatchOptions { kernel_headers: true });
    assert!(report.findings.iter().any(|f| f.package.name == "linux-libc-dev"));
    assert!(report.notes.is_empty());
}

#[test]
fn a_release_that_the_database_lacks_is_unknown_not_clean() {
    let dir = tempfile::tempdir().unwrap();
    root(dir.path(), "14", false);
    let report = scan(dir.path(), MatchOptions::default());
    assert!(report.findings.is_empty());
    let said = report.unknown.iter().find(|u| u.why.contains("no facts for Debian GNU/Linux 14"));
    assert!(said.is_some_and(|u| u.why.starts_with("5 packages")), "{:?}", report.unknown);
}

#[test]
fn severities_come_from_whoever_rates_the_same_vulnerability() {
    let database = Database::embedded();
    let dir = tempfile::tempdir().unwrap();
    root(dir.path(), "11", false);
    let status = "Package: apache2\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.4.48-3.1\n\n\
        Package: liblog4j2-java\nSource: apache-log4j2\nStatus: install ok installed\nArchitecture: all\nVersion: 2.13.3-1\n\n";
    fs::write(dir.path().join("var/lib/dpkg/status"), status).unwrap();
    let report = scan(dir.path(), MatchOptions::default());
    let log4shell = report.findings.iter().find(|f| f.id == "CVE-2021-44228").expect("in DSA-5020-1");
    assert!(log4shell.known_exploited() && log4shell.exploited.as_ref().is_some_and(|e| e.ransomware));
    assert!(log4shell.aliases.iter().any(|a| a == "DSA-5020-1"), "{:?}", log4shell.aliases);
    assert_eq!(*log4shell.fixed, ["2.15.0-1~deb11u1"]);
    assert!(report.findings.iter().all(|f| Severity::ALL.contains(&f.severity)));
    assert!(database.status().unwrap().ecosystems.iter().any(|e| e.ecosystem == "Debian:11"));
}

#[test]
fn the_table_and_the_json_of_a_small_report() {
    let dir = tempfile::tempdir().unwrap();
    root(dir.path(), "12", false);
    let status = "Package: libexpat1\nSource: expat\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.5.0-1+deb12u4\n\n";
    fs::write(dir.path().join("var/lib/dpkg/status"), status).unwrap();
    let mut report = scan(dir.path(), MatchOptions::default());
    report.say_age("2026-11-25".parse().unwrap());
    insta::assert_snapshot!("table", table(&report, &TableOptions::default()));
    report.database.sources.truncate(1);
    report.database.digest = "(digest)".into();
    insta::assert_json_snapshot!("json", report);
}
