//! Every view of one report: shape, and text from images that tries to escape.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use stockade_advisory::report::views;
use stockade_advisory::report::{BaseImage, ScanReport};

fn report() -> ScanReport {
    let finding = |id: &str, name: &str, severity: &str, fixed: Value, exploited: bool, status: &str| {
        json!({"id": id, "aliases": ["GHSA-aaaa-bbbb-cccc"],
            "package": {"name": name, "version": "1.0", "purl": format!("pkg:deb/debian/{name}@1.0"), "type": "deb", "source": "openssl"},
            "path": "var/lib/dpkg/status", "layer": "sha256:aa", "instruction": "RUN apt-get install", "status": status, "severity": severity,
            "severity_source": "CVSS 3.1",
            "cvss": [{"version": "3.1", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "score": 9.8}],
            "fixed": fixed, "known_exploited": exploited, "epss": null, "vex": null, "published": "2026-01-02",
            "advisories": [{"id": "DSA-1-1", "source": "s", "ecosystem": "Debian:12", "why": "1.0 < 2.0"}],
            "references": ["https://security-tracker.debian.org/tracker/DSA-1-1"]})
    };
    let package = |name: &str| {
        json!({"name": name, "version": "1.0", "type": "deb", "purl": format!("pkg:deb/debian/{name}@1.0"),
            "path": "var/lib/dpkg/status", "layer": "sha256:aa", "instruction": "RUN apt-get install",
            "source": {"name": "openssl", "version": "1.0"}, "licenses": ["Apache-2.0"]})
    };
    let hostile = "evil|`<script>alert(1)</script>\u{1b}[2J&\"'](x)";
    serde_json::from_value(json!({
        "schema": "stockade.scan/v1",
        "target": {"name": "web:latest", "kind": "image", "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "os": {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)", "eol": "2026-06-10"}},
        "scanner": {"name": "stockade", "version": "0.1.0"},
        "database": {"built": "2026-11-24", "digest": "d", "sources": [{"name": "s", "records": 1, "as_of": "2026-11-24"}],
            "coverage": [{"ecosystem": "Debian:12", "packages": 3, "sources": ["s"], "until": "2026-11-24", "knows_unfixed": false}]},
        "packages": [package("libssl3"), package("openssl"), package(hostile)],
        "findings": [
            finding("CVE-2026-1", "libssl3", "critical", json!(["2.0"]), true, "affected"),
            finding("CVE-2026-1", "openssl", "critical", json!(["2.0"]), true, "affected"),
            finding("CVE-2026-2", "libssl3", "low", json!([]), false, "affected"),
            finding("CVE-2026-3", hostile, "unknown", json!([]), false, "unknown")
        ],
        "unknown": [{"what": "file", "path": "opt/a b.jar", "why": "encrypted"}, {"what": "coverage", "path": "", "why": "no facts for X"}],
        "notes": ["a note"]
    }))
    .unwrap()
}

#[test]
fn the_table_groups_by_what_to_do() {
    let options = views::TableOptions { today: Some("2026-11-24".parse().unwrap()), ..Default::default() };
    insta::assert_snapshot!(views::table(&report(), &options));
}

#[test]
fn a_new_base_image_is_advised_where_its_layers_are_at_fault() {
    let mut report = report();
    assert!(!views::table(&report, &views::TableOptions::default()).contains("base image"));
    let base = |layer: &str| BaseImage { name: "debian:12".into(), layers: vec![layer.into()] };
    report.base = Some(base("sha256:aa"));
    let table = views::table(&report, &views::TableOptions::default());
    assert!(table.contains("  update the base image debian:12  fixes 1: 1 critical"), "{table}");
    report.base = Some(base("sha256:bb"));
    assert!(!views::table(&report, &views::TableOptions::default()).contains("base image"));
}

#[test]
fn a_narrow_terminal_cuts_lines_and_colour_is_not_cut() {
    let options = views::TableOptions { color: true, width: Some(60), today: None };
    let text = views::table(&report(), &options);
    let section: Vec<&str> = text.lines().filter(|l| l.contains("CVE-")).collect();
    assert!(!section.is_empty());
    for line in section {
        let visible: String = line
            .replace("\u{1b}[1;31m", "")
            .replace("\u{1b}[2m", "")
            .replace("\u{1b}[36m", "")
            .replace("\u{1b}[0m", "");
        assert!(visible.chars().count() <= 60 && !visible.contains('\u{1b}'), "{line:?}");
    }
}

#[test]
fn sarif_has_what_its_schema_requires() {
    let log = views::sarif(&report());
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 3, "one rule a vulnerability");
    for result in run["results"].as_array().unwrap() {
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(result["message"]["text"].is_string());
        if result["kind"] != "fail" {
            assert_eq!(result["level"], "none");
        }
    }
    let notes = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!(notes[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "opt/a%20b.jar");
    insta::assert_json_snapshot!("sarif", log);
}

#[test]
fn cyclonedx_points_only_to_components_that_exist() {
    let bom = views::cyclonedx(&report(), "2026-11-24T00:00:00Z", "00000000-0000-4000-8000-000000000000");
    let refs: Vec<&str> = bom["components"].as_array().unwrap().iter().filter_map(|c| c["bom-ref"].as_str()).collect();
    for vulnerability in bom["vulnerabilities"].as_array().unwrap() {
        for affected in vulnerability["affects"].as_array().unwrap() {
            assert!(refs.contains(&affected["ref"].as_str().unwrap()));
        }
    }
    insta::assert_json_snapshot!("cyclonedx", bom);
}

#[test]
fn gitlab_has_affected_ones_alone() {
    let document = views::gitlab(&report(), "2026-11-24T00:00:00", "2026-11-24T00:00:01");
    let all = document["vulnerabilities"].as_array().unwrap();
    assert_eq!(all.len(), 3);
    let mut ids: Vec<&Value> = all.iter().map(|v| &v["id"]).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "ids differ");
    assert_eq!(all[0]["severity"], "Critical");
}

#[test]
fn text_from_images_stays_text() {
    let html = views::html(&report());
    assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;alert"));
    assert!(!html.contains("http://") || !html.contains("src="), "nothing is loaded from elsewhere");
    let xml = views::junit(&report());
    assert!(xml.contains("&lt;script&gt;") && !xml.contains('\u{1b}'));
    let markdown = views::markdown(&report());
    assert!(!markdown.contains('\u{1b}'));
    let rows: Vec<&str> = markdown.lines().filter(|l| l.starts_with("| ")).collect();
    for row in rows {
        let cells = row.replace("\\|", "").matches('|').count();
        assert_eq!(cells, 6, "{row}");
    }
    let table = views::table(&report(), &views::TableOptions::default());
    assert!(!table.contains('\u{1b}'));
}

#[test]
fn junit_and_markdown() {
    insta::assert_snapshot!("junit", views::junit(&report()));
    insta::assert_snapshot!("markdown", views::markdown(&report()));
}
