//! Importers on small documents in the real formats, and updates of a database.
#![allow(clippy::unwrap_used)]

use stockade_advisory_db::import::{Batch, merge};
use stockade_advisory_db::{DbError, EventKind, Label, Note, Reader, Record};

fn read(name: &str, text: &str) -> Result<Vec<(String, Record)>, DbError> {
    let mut batch = Batch::default();
    batch.read_bytes(name, text.as_bytes().to_vec(), "2026-01-02")?;
    let file = merge(None, batch, 0)?;
    let reader = Reader::open(&file)?;
    reader.verify()?;
    let sources = reader.sources()?;
    Ok(reader.to_records()?.into_iter().map(|(n, r)| (sources[n as usize].source.name.clone(), r)).collect())
}

fn fixed(record: &Record, ecosystem: &str) -> Option<String> {
    let affected = record.affected.iter().find(|a| a.ecosystem == ecosystem)?;
    affected.ranges[0].iter().find(|e| e.kind == EventKind::Fixed).map(|e| e.version.clone())
}

#[test]
fn debian_tracker_states() {
    let records = read(
        "json",
        r#"{"openssl": {"CVE-2024-1": {"description": "x", "scope": "remote", "releases": {
             "bookworm": {"status": "resolved", "repositories": {"bookworm": "3.0.15-1"}, "fixed_version": "3.0.15-1", "urgency": "high"},
             "trixie": {"status": "open", "repositories": {"trixie": "3.5"}, "urgency": "not yet assigned", "nodsa": "Minor issue", "nodsa_reason": "postponed"},
             "bullseye": {"status": "resolved", "repositories": {}, "fixed_version": "0", "urgency": "unimportant"},
             "sid": {"status": "undetermined", "repositories": {}, "urgency": "not yet assigned"}}}},
           "bash": {"TEMP-0841856-B18BAF": {"releases": {"bookworm": {"status": "open", "repositories": {"bookworm": "5"}, "urgency": "unimportant"}}}}}"#,
    )
    .unwrap();
    let (source, openssl) = records.iter().find(|(_, r)| r.id == "DEBIAN-CVE-2024-1").unwrap();
    assert_eq!(source, "Debian-tracker");
    assert_eq!(openssl.upstream, ["CVE-2024-1"]);
    assert_eq!(fixed(openssl, "Debian:12").as_deref(), Some("3.0.15-1"));
    let of = |ecosystem: &str| openssl.affected.iter().find(|a| a.ecosystem == ecosystem);
    assert_eq!(of("Debian:12").unwrap().label, Label::High);
    assert_eq!(of("Debian:13").unwrap().note, Note::Postponed);
    assert_eq!(of("Debian:sid").unwrap().note, Note::Undetermined);
    assert!(of("Debian:11").is_none(), "version 0: never affected");
    let (_, temp) = records.iter().find(|(_, r)| r.id.starts_with("TEMP")).unwrap();
    assert_eq!((temp.affected[0].note, temp.affected[0].label), (Note::Unimportant, Label::Negligible));
}

#[test]
fn secdb_of_alpine_and_wolfi() {
    let mut batch = Batch::default();
    for (release, version) in [("v3.19", "3.1.4-r5"), ("v3.20", "3.3.0-r2")] {
        let text = format!(
            r#"{{"apkurl": "x", "archs": ["x86_64"], "reponame": "main", "urlprefix": "https://dl-cdn.alpinelinux.org/alpine", "distroversion": "{release}",
            "packages": [{{"pkg": {{"name": "openssl", "secfixes": {{"{version}": ["CVE-2024-5535 XSA-1"], "0": ["CVE-2020-9"], "1-r0": null}}}}}}]}}"#
        );
        batch.read_bytes("main.json", text.into_bytes(), "2026-01-02").unwrap();
    }
    let wolfi = r#"{"apkurl": "{{urlprefix}}", "archs": ["x86_64"], "reponame": "os", "urlprefix": "https://packages.wolfi.dev",
        "packages": [{"pkg": {"name": "curl", "secfixes": {"8.0-r1": ["CVE-2024-7"]}}}]}"#;
    batch.read_bytes("security.json", wolfi.as_bytes().to_vec(), "2026-01-02").unwrap();
    let file = merge(None, batch, 0).unwrap();
    let reader = Reader::open(&file).unwrap();
    assert_eq!(reader.ecosystems().unwrap(), ["Alpine:v3.19", "Alpine:v3.20", "Wolfi"]);
    let records = reader.to_records().unwrap();
    let openssl = records.iter().map(|(_, r)| r).find(|r| r.id == "ALPINE-CVE-2024-5535").unwrap();
    assert_eq!(fixed(openssl, "Alpine:v3.19").as_deref(), Some("3.1.4-r5"));
    assert_eq!(fixed(openssl, "Alpine:v3.20").as_deref(), Some("3.3.0-r2"));
    assert!(!records.iter().any(|(_, r)| r.id.contains("2020-9")), "version 0: never affected");
    assert!(reader.coverage().unwrap().iter().all(|c| !c.knows_unfixed));
}

#[test]
fn arch_groups() {
    let records = read(
        "all.json",
        r#"[{"name": "AVG-2843", "packages": ["xz", "lib32-xz"], "status": "Fixed", "severity": "Critical", "type": "arbitrary code execution", "affected": "5.6.0-1", "fixed": "5.6.1-2", "ticket": null, "issues": ["CVE-2024-3094"], "advisories": ["ASA-202403-1"]},
            {"name": "AVG-1", "packages": ["a"], "status": "Not affected", "severity": "Unknown", "affected": "1-1", "fixed": null, "issues": ["CVE-2000-1"]},
            {"name": "AVG-2", "packages": ["b"], "status": "Vulnerable", "severity": "Low", "affected": "1-1", "fixed": null, "issues": ["CVE-2000-2"]}]"#,
    )
    .unwrap();
    assert_eq!(records.len(), 2);
    let xz = &records.iter().find(|(_, r)| r.id == "AVG-2843").unwrap().1;
    assert_eq!((xz.label, xz.affected.len()), (Label::Critical, 2));
    assert_eq!(fixed(xz, "Arch Linux").as_deref(), Some("5.6.1-2"));
}

#[test]
fn nvd_gives_ratings_alone() {
    let records = read(
        "nvdcve-2.0-2024.json",
        r#"{"resultsPerPage": 2, "format": "NVD_CVE", "version": "2.0", "vulnerabilities": [
            {"cve": {"id": "CVE-2024-1", "published": "2024-01-02T03:04:05.000", "lastModified": "2024-02-03T00:00:00.000", "vulnStatus": "Analyzed",
              "metrics": {"cvssMetricV31": [{"source": "x", "type": "Secondary", "cvssData": {"vectorString": "CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L", "baseScore": 4.0}},
                {"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "baseScore": 9.8}}]}}},
            {"cve": {"id": "CVE-2024-2", "vulnStatus": "Rejected", "metrics": {}}}]}"#,
    )
    .unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].1.scores, ["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"]);
    assert!(records[0].1.affected.is_empty());
}

#[test]
fn csaf_of_red_hat_and_suse() {
    let red_hat = r#"{"document": {"category": "csaf_security_advisory", "csaf_version": "2.0", "aggregate_severity": {"text": "Important"},
        "publisher": {"name": "Red Hat Product Security", "category": "vendor", "namespace": "https://www.redhat.com"},
        "tracking": {"id": "RHSA-2024:2447", "initial_release_date": "2024-04-30T10:00:00+00:00", "current_release_date": "2024-05-01T00:00:00+00:00", "status": "final", "version": "1"}},
      "product_tree": {"branches": [{"category": "vendor", "name": "Red Hat", "branches": [
          {"category": "product_version", "name": "x", "product": {"name": "Red Hat Enterprise Linux AppStream (v. 9)", "product_id": "AppStream-9.4.0.GA",
             "product_identification_helper": {"cpe": "cpe:/a:redhat:enterprise_linux:9::appstream"}}},
          {"category": "product_version", "name": "y", "product": {"name": "openssl-devel", "product_id": "openssl-devel-1:3.0.7-27.el9.x86_64",
             "product_identification_helper": {"purl": "pkg:rpm/redhat/openssl-devel@3.0.7-27.el9?arch=x86_64&epoch=1"}}}]}],
        "relationships": [{"category": "default_component_of", "product_reference": "openssl-devel-1:3.0.7-27.el9.x86_64", "relates_to_product_reference": "AppStream-9.4.0.GA",
          "full_product_name": {"name": "n", "product_id": "AppStream-9.4.0.GA:openssl-devel-1:3.0.7-27.el9.x86_64"}}]},
      "vulnerabilities": [{"cve": "CVE-2023-2975", "product_status": {"fixed": ["AppStream-9.4.0.GA:openssl-devel-1:3.0.7-27.el9.x86_64"]},
        "scores": [{"cvss_v3": {"vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:L/A:N", "version": "3.1"}, "products": []}],
        "threats": [{"category": "impact", "details": "Low"}]}]}"#;
    let records = read("rhsa-2024_2447.json", red_hat).unwrap();
    let record = &records[0].1;
    assert_eq!((records[0].0.as_str(), record.label), ("Red-Hat", Label::Low));
    assert_eq!(record.upstream, ["CVE-2023-2975"]);
    assert_eq!(fixed(record, "Red Hat:enterprise_linux:9::appstream").as_deref(), Some("1:3.0.7-27.el9"));
    let suse = r#"{"document": {"csaf_version": "2.0", "publisher": {"name": "SUSE Product Security Team", "category": "vendor", "namespace": "x"},
        "tracking": {"id": "CVE-2023-1", "current_release_date": "2024-05-01T00:00:00Z"}},
      "product_tree": {"branches": [{"category": "vendor", "name": "SUSE", "branches": [
          {"category": "product_name", "name": "l", "product": {"name": "openSUSE Leap 15.5", "product_id": "openSUSE Leap 15.5", "product_identification_helper": {"cpe": "cpe:/o:opensuse:leap:15.5"}}},
          {"category": "product_version", "name": "v", "product": {"name": "curl-8.0.1-150400.5.23.1", "product_id": "curl-8.0.1-150400.5.23.1.x86_64"}},
          {"category": "product_version", "name": "w", "product": {"name": "wget", "product_id": "wget"}}]}],
        "relationships": [
          {"category": "default_component_of", "product_reference": "curl-8.0.1-150400.5.23.1.x86_64", "relates_to_product_reference": "openSUSE Leap 15.5", "full_product_name": {"name": "n", "product_id": "openSUSE Leap 15.5:curl-8.0.1-150400.5.23.1.x86_64"}},
          {"category": "default_component_of", "product_reference": "wget", "relates_to_product_reference": "openSUSE Leap 15.5", "full_product_name": {"name": "n", "product_id": "openSUSE Leap 15.5:wget"}}]},
      "vulnerabilities": [{"cve": "CVE-2023-1", "product_status": {"recommended": ["openSUSE Leap 15.5:curl-8.0.1-150400.5.23.1.x86_64"], "known_affected": ["openSUSE Leap 15.5:wget"]},
        "remediations": [{"category": "no_fix_planned", "details": "d", "product_ids": ["openSUSE Leap 15.5:wget"]}]}]}"#;
    let records = read("cve-2023-1.json", suse).unwrap();
    let record = &records[0].1;
    assert_eq!(fixed(record, "openSUSE:Leap 15.5").as_deref(), Some("8.0.1-150400.5.23.1"));
    let wget = record.affected.iter().find(|a| a.name == "wget").unwrap();
    assert_eq!((wget.ranges[0].len(), wget.note), (1, Note::WillNotFix));
}

#[test]
fn updateinfo_of_amazon_and_fedora() {
    let text = r#"<?xml version="1.0" ?>
<updates>
 <update author="linux-security@amazon.com" from="linux-security@amazon.com" status="final" type="security" version="1.4">
  <id>ALAS2023-2023-047</id><title>t</title><issued date="2023-02-17 01:30"/><updated date="2023-02-22 20:59"/><severity>important</severity>
  <references><reference href="h" id="CVE-2022-1304" title="" type="cve"/></references>
  <pkglist><collection short="amazon-linux-2023"><name>n</name>
   <package arch="x86_64" epoch="0" name="e2fsprogs" release="2.amzn2023.0.2" version="1.46.5"><filename>f</filename></package>
   <package arch="aarch64" epoch="1" name="libss" release="2.amzn2023.0.2" version="1.46.5"><filename>f</filename></package></collection></pkglist>
 </update>
 <update status="stable" type="bugfix"><id>FEDORA-2024-0</id><pkglist><collection><package name="x" version="1" release="1.fc40" epoch="0"/></collection></pkglist></update>
 <update status="stable" type="security"><id>FEDORA-2024-1</id><severity>Low</severity><references><reference id="CVE-2024-5" type="bugzilla"/></references>
  <pkglist><collection><package name="x" version="1" release="1.fc40" epoch="0"/></collection></pkglist></update>
</updates>"#;
    let records = read("updateinfo.xml", text).unwrap();
    assert_eq!(records.len(), 2);
    let alas = &records.iter().find(|(s, _)| s == "Amazon").unwrap().1;
    assert_eq!((alas.label, alas.upstream[0].as_str()), (Label::High, "CVE-2022-1304"));
    let libss = alas.affected.iter().find(|a| a.name == "libss").unwrap();
    assert_eq!(
        (libss.ecosystem.as_str(), libss.ranges[0][1].version.as_str()),
        ("Amazon Linux:2023", "1:1.46.5-2.amzn2023.0.2")
    );
    let fedora = &records.iter().find(|(s, _)| s == "Fedora").unwrap().1;
    assert_eq!(fixed(fedora, "Fedora:40").as_deref(), Some("1-1.fc40"));
}

#[test]
fn oval_of_ubuntu_and_red_hat() {
    let ubuntu = r#"<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:linux-def="l">
 <definitions>
  <definition class="vulnerability" id="oval:com.ubuntu.jammy:def:1" version="1"><metadata><title>CVE-2024-1 on Ubuntu 22.04 LTS (jammy) - low</title>
   <affected family="unix"><platform>Ubuntu 22.04 LTS</platform></affected><reference source="CVE" ref_id="CVE-2024-1" ref_url="u"/><advisory><severity>Low</severity></advisory></metadata>
   <criteria><criteria operator="OR"><criterion test_ref="tst:1" comment="fixed"/><criterion test_ref="tst:2" comment="no fix"/></criteria></criteria></definition>
  <definition class="inventory" id="x" version="1"><metadata><title>Ubuntu 22.04 is installed</title><affected family="unix"><platform>Ubuntu 22.04 LTS</platform></affected></metadata><criteria><criterion test_ref="tst:1"/></criteria></definition>
 </definitions>
 <tests>
  <linux-def:dpkginfo_test id="tst:1" version="1"><linux-def:object object_ref="obj:1"/><linux-def:state state_ref="ste:1"/></linux-def:dpkginfo_test>
  <linux-def:dpkginfo_test id="tst:2" version="1"><linux-def:object object_ref="obj:2"/></linux-def:dpkginfo_test>
 </tests>
 <objects>
  <linux-def:dpkginfo_object id="obj:1" version="1"><linux-def:name var_ref="var:1" var_check="at least one"/></linux-def:dpkginfo_object>
  <linux-def:dpkginfo_object id="obj:2" version="1"><linux-def:name>libfoo1</linux-def:name></linux-def:dpkginfo_object>
 </objects>
 <states><linux-def:dpkginfo_state id="ste:1" version="1"><linux-def:evr datatype="debian_evr_string" operation="less than">0:3.0.2-0ubuntu1.15</linux-def:evr></linux-def:dpkginfo_state></states>
 <variables><constant_variable id="var:1" version="1" datatype="string"><value>libssl3</value><value>openssl</value></constant_variable></variables>
</oval_definitions>"#;
    let records = read("com.ubuntu.jammy.cve.oval.xml", ubuntu).unwrap();
    assert_eq!(records.len(), 1);
    let record = &records[0].1;
    assert_eq!((record.upstream[0].as_str(), record.label), ("CVE-2024-1", Label::Low));
    let of = |name: &str| record.affected.iter().find(|a| a.name == name).unwrap();
    assert_eq!(of("libssl3").ecosystem, "Ubuntu:22.04:LTS#binary");
    assert_eq!(of("openssl").ranges[0][1].version, "3.0.2-0ubuntu1.15");
    assert_eq!(of("libfoo1").ranges[0].len(), 1, "affected without a fix");
    let red_hat = r#"<oval_definitions xmlns="o"><definitions><definition class="patch" id="oval:com.redhat.rhsa:def:20242447"><metadata><title>RHSA-2024:2447: openssl (Low)</title>
   <affected family="unix"><platform>Red Hat Enterprise Linux 9</platform></affected><reference ref_id="RHSA-2024:2447" source="RHSA"/><reference ref_id="CVE-2023-2975" source="CVE"/>
   <advisory><severity>Low</severity><issued date="2024-04-30"/><updated date="2024-05-01"/></advisory></metadata>
   <criteria operator="AND"><criterion test_ref="t:os"/><criteria operator="AND"><criterion test_ref="t:1"/><criterion test_ref="t:signed"/></criteria></criteria></definition></definitions>
  <tests><red-def:rpminfo_test id="t:1"><red-def:object object_ref="o:1"/><red-def:state state_ref="s:1"/></red-def:rpminfo_test>
   <red-def:rpminfo_test id="t:signed"><red-def:object object_ref="o:1"/><red-def:state state_ref="s:2"/></red-def:rpminfo_test></tests>
  <objects><red-def:rpminfo_object id="o:1"><red-def:name>openssl</red-def:name></red-def:rpminfo_object></objects>
  <states><red-def:rpminfo_state id="s:1"><red-def:evr datatype="evr_string" operation="less than">1:3.0.7-27.el9</red-def:evr></red-def:rpminfo_state>
   <red-def:rpminfo_state id="s:2"><red-def:signature_keyid operation="equals">199e2f91fd431d51</red-def:signature_keyid></red-def:rpminfo_state></states></oval_definitions>"#;
    let records = read("rhel-9.oval.xml", red_hat).unwrap();
    assert_eq!(records[0].1.id, "RHSA-2024:2447");
    assert_eq!(fixed(&records[0].1, "Red Hat:enterprise_linux:9").as_deref(), Some("1:3.0.7-27.el9"));
    let cut = read("cut.xml", "<updates><update>").unwrap_err().to_string();
    assert!(cut.contains("cut.xml") && cut.contains("cut"), "{cut}");
}

#[test]
fn a_source_that_knows_unfixed_ones_replaces_those_that_do_not() {
    let osv = |id: &str, ecosystem: &str| {
        format!(
            r#"{{"schema_version": "1.7.3", "id": "{id}", "modified": "2026-01-01T00:00:00Z", "affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "p"}},
            "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "1"}}]}}]}}]}}"#
        )
    };
    let mut first = Batch::default();
    for (id, ecosystem) in [("DSA-1-1", "Debian:12"), ("DSA-2-1", "Debian:11"), ("GHSA-1", "npm"), ("GHSA-2", "npm")] {
        first.read_bytes(id, osv(id, ecosystem).into_bytes(), "").unwrap();
    }
    let base = merge(None, first, 0).unwrap();
    let mut second = Batch::default();
    let tracker = r#"{"p": {"CVE-2024-1": {"releases": {"bookworm": {"status": "open", "repositories": {}, "urgency": "low"}}}}}"#;
    second.read_bytes("tracker", tracker.as_bytes().to_vec(), "2026-02-01").unwrap();
    let withdrawn = r#"{"id": "GHSA-2", "modified": "2026-01-02T00:00:00Z", "withdrawn": "2026-01-02T00:00:00Z"}"#;
    second.read_bytes("w", withdrawn.as_bytes().to_vec(), "").unwrap();
    let file = merge(Some(Reader::open(&base).unwrap()), second, 0).unwrap();
    let reader = Reader::open(&file).unwrap();
    let ids: Vec<String> = reader.to_records().unwrap().into_iter().map(|(_, r)| r.id).collect();
    assert_eq!(ids, ["DSA-2-1", "DEBIAN-CVE-2024-1", "GHSA-1"]);
}

#[test]
fn a_fragment_of_a_complete_source_replaces_nothing() {
    let mut batch = Batch::default();
    for i in 0..3 {
        let text = format!(
            r#"{{"schema_version": "1.7.3", "id": "DEBIAN-CVE-2024-{i}", "modified": "2026-01-01T00:00:00Z", "upstream": ["CVE-2024-{i}"], "affected": [{{"package": {{"ecosystem": "Debian:12", "name": "p"}},
            "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "1"}}]}}]}}], "database_specific": {{"source": "changelog"}}}}"#
        );
        batch.read_bytes("a", text.into_bytes(), "").unwrap();
    }
    let tracker = r#"{"p": {"CVE-2024-9": {"releases": {"bookworm": {"status": "open", "repositories": {}, "urgency": "low"}}}}}"#;
    batch.read_bytes("tracker", tracker.as_bytes().to_vec(), "2026-02-01").unwrap();
    let file = merge(None, batch, 0).unwrap();
    let reader = Reader::open(&file).unwrap();
    assert_eq!(reader.record_count(), 4);
    let names: Vec<(String, bool)> =
        reader.sources().unwrap().into_iter().map(|s| (s.source.name, s.source.knows_unfixed)).collect();
    assert_eq!(names, [("Debian-archive".to_owned(), false), ("Debian-tracker".to_owned(), true)]);
}

#[test]
fn what_is_no_advisory_is_an_error_with_its_name() {
    for (name, text) in [("notes.json", "{\"a\": 1}"), ("x.csv", "a,b\n"), ("empty.json", "")] {
        let error = read(name, text).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("not recognised"), "{error}");
    }
    let error = read("cut.json", "{\"id\": \"X\", \"modified\": ").unwrap_err().to_string();
    assert!(error.contains("cut.json") && error.contains("not an OSV record"), "{error}");
}

proptest::proptest! {
    #[test]
    fn any_document_is_read_or_refused(text in r#"[\[\{]("(id|affected|releases|repositories|secfixes|csaf_version|vulnerabilities|cve|issues|catalogVersion)"|[:,{}\[\]"0-9a-z ]){0,40}"#) {
        let _ = read("any", &text);
    }
}
