use super::*;
use crate::model::{Evidence, LayerInfo, OsInfo, Package, PackageKind, SourcePackage};

fn names(inventory: &Inventory) -> Vec<String> {
    inventory.packages.iter().map(|p| format!("{} {} {}", p.kind, p.name, p.version)).collect()
}

const TRIVY: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,
 "metadata":{"component":{"bom-ref":"x","type":"container","name":"img","properties":[{"name":"aquasecurity:trivy:DiffID","value":"sha256:aa"},{"name":"aquasecurity:trivy:DiffID","value":"sha256:bb"}]}},
 "components":[
  {"type":"operating-system","name":"debian","version":"12.1","properties":[{"name":"aquasecurity:trivy:Type","value":"debian"}]},
  {"type":"library","name":"libssl3","version":"3.0.11-1~deb12u2","purl":"pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12.1","licenses":[{"license":{"name":"Apache-2.0"}}],
   "properties":[{"name":"aquasecurity:trivy:LayerDiffID","value":"sha256:bb"},{"name":"aquasecurity:trivy:SrcName","value":"openssl"},{"name":"aquasecurity:trivy:SrcVersion","value":"3.0.11"},{"name":"aquasecurity:trivy:SrcRelease","value":"1~deb12u2"},{"name":"aquasecurity:trivy:PkgType","value":"debian"}]},
  {"type":"library","name":"perl-base","version":"5.36.0-7","purl":"pkg:deb/debian/perl-base@5.36.0-7?arch=amd64&distro=debian-12.1&epoch=1","components":[{"type":"library","group":"@s","name":"Inner","version":"1","purl":"pkg:npm/%40s/inner@1"}]},
  {"type":"application","name":"app/package-lock.json"},
  {"type":"library","name":"mystery","version":"1.0"}]}"#;

#[test]
fn trivys_cyclonedx_keeps_sources_epochs_and_layers() {
    let i = read_sbom(TRIVY.as_bytes(), "bom.json").unwrap();
    assert_eq!(names(&i), ["deb libssl3 3.0.11-1~deb12u2", "deb perl-base 1:5.36.0-7", "npm @s/Inner 1"]);
    let ssl = &i.packages[0];
    assert_eq!(ssl.source, Some(SourcePackage { name: "openssl".into(), version: "3.0.11-1~deb12u2".into() }));
    assert_eq!(ssl.layer, Some(1));
    assert_eq!(i.layers.len(), 2);
    let os = i.os.unwrap();
    assert_eq!((os.id.as_str(), os.version_id.as_str()), ("debian", "12.1"));
    assert!(os.eol.is_some());
    assert_eq!(i.unknown.len(), 1);
    assert!(i.unknown[0].why.contains("mystery"));
}

#[test]
fn syfts_cyclonedx_and_purl_qualifiers() {
    let text = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
      {"type":"library","name":"openssl-libs","version":"1:3.0.7-27.el9","purl":"pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm",
       "properties":[{"name":"syft:package:type","value":"rpm"},{"name":"syft:location:0:path","value":"/var/lib/rpm/rpmdb.sqlite"}]},
      {"type":"library","name":"libcrypto3","version":"3.1.1-r1","purl":"pkg:apk/alpine/libcrypto3@3.1.1-r1?arch=x86_64&distro=alpine-3.18.2&upstream=openssl"},
      {"type":"library","name":"nopurl","version":"2","properties":[{"name":"syft:package:type","value":"python"}]},
      {"type":"file","name":"/bin/sh"}]}"#;
    let i = read_sbom(text.as_bytes(), "bom.json").unwrap();
    assert_eq!(names(&i), ["apk libcrypto3 3.1.1-r1", "rpm openssl-libs 1:3.0.7-27.el9", "pypi nopurl 2"]);
    assert_eq!(i.packages[1].source, Some(SourcePackage { name: "openssl".into(), version: "1:3.0.7-27.el9".into() }));
    assert_eq!(i.packages[1].path, "var/lib/rpm/rpmdb.sqlite");
    assert_eq!(i.packages[0].source.as_ref().unwrap().name, "openssl");
    assert_eq!(i.os.unwrap().id, "rhel");
    assert!(i.unknown.is_empty());
}

#[test]
fn cyclonedx_xml() {
    let text = r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>
<bom xmlns="http://cyclonedx.org/schema/bom/1.4" version="1">
 <metadata><component type="container"><name>img</name></component></metadata>
 <components>
  <component type="operating-system"><name>alpine</name><version>3.18.2</version></component>
  <component type="library"><group>g</group><name>a&amp;b</name><version>1.0</version>
   <licenses><license><id>MIT</id></license></licenses>
   <purl>pkg:apk/alpine/musl@1.2.4-r0?arch=x86_64&amp;distro=alpine-3.18.2</purl>
   <properties><property name="aquasecurity:trivy:SrcName">musl-src</property></properties>
   <components><component type="library"><name>in</name><purl>pkg:npm/in@2</purl></component></components>
  </component></components></bom>"#;
    let i = read_sbom(text.as_bytes(), "bom.xml").unwrap();
    assert_eq!(names(&i), ["apk musl 1.2.4-r0", "npm in 2"]);
    assert_eq!(i.packages[0].licenses, ["MIT"]);
    assert_eq!(i.packages[0].source.as_ref().unwrap().name, "musl-src");
    assert_eq!(i.os.unwrap().version_id, "3.18.2");
    assert!(read_sbom(b"<html></html>", "x").is_err());
    assert!(read_sbom("<bom>".repeat(100_000).as_bytes(), "x").is_err());
}

#[test]
fn spdx_two_json_and_tag_value() {
    let json = r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"img","packages":[
      {"name":"img","SPDXID":"a"},
      {"name":"debian","versionInfo":"12.1","primaryPackagePurpose":"OPERATING-SYSTEM"},
      {"name":"libssl3","versionInfo":"3.0.11-1","licenseDeclared":"MIT","licenseConcluded":"NOASSERTION","sourceInfo":"built package from: openssl 3.0.11-1",
       "externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12.1"}]}]}"#;
    let i = read_sbom(json.as_bytes(), "x.spdx.json").unwrap();
    assert_eq!(names(&i), ["deb libssl3 3.0.11-1"]);
    assert_eq!(i.packages[0].source.as_ref().unwrap().name, "openssl");
    assert_eq!(i.packages[0].licenses, ["MIT"]);
    assert_eq!(i.os.unwrap().version_id, "12.1");
    assert!(i.unknown.is_empty(), "{:?}", i.unknown);
    let tags = "SPDXVersion: SPDX-2.2\nDataLicense: CC0-1.0\nPackageName: img\nSPDXID: SPDXRef-x\n\nPackageName: musl\nPackageVersion: 1.2.4-r0\nPackageLicenseDeclared: MIT\nPackageComment: <text>a\nPackageName: not-me\n</text>\nExternalRef: PACKAGE_MANAGER purl pkg:apk/alpine/musl@1.2.4-r0?distro=alpine-3.18\n\nFileName: ./x\nPackageVersion: no\n";
    let i = read_sbom(tags.as_bytes(), "x.spdx").unwrap();
    assert_eq!(names(&i), ["apk musl 1.2.4-r0"]);
    assert_eq!(i.os.unwrap().id, "alpine");
}

#[test]
fn spdx_three() {
    let text = r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
      {"type":"software_Package","spdxId":"u:1","name":"lodash","software_packageVersion":"4.17.20","software_packageUrl":"pkg:npm/lodash@4.17.20"},
      {"type":"software_Package","spdxId":"u:2","name":"x","externalIdentifier":[{"type":"ExternalIdentifier","externalIdentifierType":"packageUrl","identifier":"pkg:pypi/x@1"}]},
      {"type":"simplelicensing_LicenseExpression","spdxId":"u:3","simplelicensing_licenseExpression":"MIT"},
      {"type":"Relationship","spdxId":"u:4","from":"u:1","to":["u:3"],"relationshipType":"hasDeclaredLicense"}]}"#;
    let i = read_sbom(text.as_bytes(), "x").unwrap();
    assert_eq!(names(&i), ["pypi x 1", "npm lodash 4.17.20"]);
    assert_eq!(i.packages[1].licenses, ["MIT"]);
}

#[test]
fn statements_are_opened_and_junk_refused() {
    let statement = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://cyclonedx.org/bom","predicate":{TRIVY}}}"#
    );
    assert_eq!(read_sbom(statement.as_bytes(), "x").unwrap().packages.len(), 3);
    for junk in ["", "{}", "[]", "hello", "{\"bomFormat\":\"CycloneDX\",\"components\":3}"] {
        assert!(read_sbom(junk.as_bytes(), "x").is_err(), "{junk}");
    }
}

fn sample() -> Inventory {
    let mut libc = Package::new(PackageKind::Deb, "libc6", "2.36-9+deb12u4");
    libc.source = Some(SourcePackage { name: "glibc".into(), version: "2.36-9+deb12u4".into() });
    libc.arch = Some("amd64".into());
    libc.licenses = vec!["LGPL-2.1".into()];
    libc.path = "var/lib/dpkg/status".into();
    libc.layer = Some(0);
    let mut bash = Package::new(PackageKind::Deb, "bash", "5.2.15-2+b2");
    bash.source = Some(SourcePackage { name: "bash".into(), version: "5.2.15-2".into() });
    bash.depends = vec!["libc6".into()];
    bash.path = "var/lib/dpkg/status".into();
    bash.layer = Some(0);
    let mut npm = Package::new(PackageKind::Npm, "@s/a", "1.0.0");
    npm.licenses = vec!["MIT".into(), "ISC".into()];
    npm.path = "app/node_modules/@s/a/package.json".into();
    let os = OsInfo { id: "debian".into(), version_id: "12".into(), pretty: "Debian 12".into(), ..OsInfo::default() };
    let mut packages = vec![bash, libc, npm];
    for package in &mut packages {
        package.purl = crate::purl::build(package, Some(&os));
        package.evidence = Evidence::Database;
    }
    let layers = vec![LayerInfo { diff_id: "sha256:aa".into(), ..LayerInfo::default() }];
    Inventory { os: Some(os), packages, unknown: Vec::new(), layers, ..Inventory::default() }
}

#[test]
fn what_is_written_can_be_read_and_is_the_same_each_time() {
    let inventory = sample();
    let info = SbomInfo { name: "img:1".into(), version: "sha256:ff".into(), created: String::new() };
    for write in [write_cyclonedx, write_spdx] {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        write(&inventory, &info, &mut one).unwrap();
        write(&inventory, &info, &mut two).unwrap();
        assert_eq!(one, two);
        let back = read_sbom(&one, "x").unwrap();
        assert_eq!(names(&back), names(&inventory));
        for (a, b) in back.packages.iter().zip(&inventory.packages) {
            assert_eq!((&a.purl, &a.path), (&b.purl, &b.path));
            if a.kind.is_os() {
                assert_eq!(a.source, b.source);
            }
        }
        assert_eq!(back.os.unwrap().id, "debian");
    }
    let mut text = Vec::new();
    write_cyclonedx(&inventory, &info, &mut text).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let serial = value["serialNumber"].as_str().unwrap();
    assert!(serial.starts_with("urn:uuid:") && serial.len() == 45 && serial.as_bytes()[23] == b'8', "{serial}");
    let bash = &value["dependencies"].as_array().unwrap()[0];
    assert!(bash["ref"].as_str().unwrap().contains("/bash@"));
    assert!(bash["dependsOn"][0].as_str().unwrap().contains("/libc6@"));
    assert_eq!(value["components"][2]["licenses"][0]["license"]["name"], "LGPL-2.1");
    assert_eq!(value["components"][3]["licenses"][0]["license"]["id"], "MIT");
}

#[test]
fn references_are_unique() {
    let mut packages = vec![sample().packages[0].clone(); 3];
    packages[1].path = "elsewhere".into();
    let mut refs = write_cyclonedx::references(&packages);
    refs.sort();
    refs.dedup();
    assert_eq!(refs.len(), 3);
}

proptest::proptest! {
    #[test]
    fn any_text(text: String) { let _ = read_sbom(text.as_bytes(), "x"); let _ = read_sbom(format!("<bom>{text}").as_bytes(), "x"); let _ = read_sbom(format!("SPDXVersion: {text}").as_bytes(), "x"); }
    #[test]
    fn damaged_json(at in 0usize..1500, byte: u8) {
        let mut bytes = TRIVY.as_bytes().to_vec();
        if let Some(b) = bytes.get_mut(at) { *b = byte; }
        let _ = read_sbom(&bytes, "x");
    }
}
