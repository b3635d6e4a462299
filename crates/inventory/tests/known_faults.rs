//! Faults that other scanners have or had, each as a test: what they get wrong must be right here.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;

use stockade_inventory::{
    Inventory, LayerSource, Options, PackageKind, read_sbom, scan_bytes, scan_layer_verified, scan_layers,
};

enum Item<'a> {
    File(&'a str, &'a str),
    Link(&'a str, &'a str),
}
use Item::{File, Link};

fn layer(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match item {
            File(path, text) => {
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            Link(path, to) => {
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, to).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn scan(layers: &[&[Item<'_>]]) -> Inventory {
    let tars: Vec<Vec<u8>> = layers.iter().map(|items| layer(items)).collect();
    let sources: Vec<LayerSource<'_>> = tars
        .iter()
        .map(|bytes| LayerSource {
            diff_id: scan_layer_verified(bytes.as_slice(), None, &Options::default()).diff_id,
            open: Box::new(move || Ok(Box::new(bytes.as_slice()) as Box<dyn Read + Send>)),
            dir: None,
        })
        .collect();
    scan_layers(&sources, None, &Options::default()).unwrap()
}

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.packages.iter().map(|p| p.name.as_str()).collect()
}

const RELEASE: Item<'static> = File("usr/lib/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"\n");
const STATUS: &str = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\n";
const LODASH: &str = r#"{"name": "lodash", "version": "4.17.0"}"#;

#[test]
fn a_directory_replaced_by_a_symlink_or_file_takes_its_packages_with_it() {
    let base = [RELEASE, File("var/lib/dpkg/status", STATUS), File("app/node_modules/lodash/package.json", LODASH)];
    for upper in [
        Link("app/node_modules/lodash", "/elsewhere"),
        Link("app/node_modules", "/elsewhere"),
        File("app/node_modules", "a file now"),
        Link("app", "srv"),
    ] {
        assert_eq!(names(&scan(&[&base, &[upper]])), ["bash"]);
    }
    assert_eq!(names(&scan(&[&base])), ["bash", "lodash"]);
}

#[test]
fn a_removed_dpkg_database_is_never_silently_clean() {
    let base = [RELEASE, File("var/lib/dpkg/status", STATUS), File("var/lib/dpkg/info/bash.list", "/bin/bash\n")];
    for removed in ["var/lib/dpkg/.wh.status", "var/lib/.wh.dpkg", "var/.wh.lib"] {
        let seen = scan(&[&base, &[File(removed, "")]]);
        assert!(seen.packages.is_empty(), "{removed}");
        assert!(seen.unknown.iter().any(|u| u.what == "package-list"), "{removed}: {:?}", seen.unknown);
    }
    // Emptied instead of removed.
    let seen = scan(&[&base, &[File("var/lib/dpkg/status", "")]]);
    assert!(seen.unknown.iter().any(|u| u.what == "package-list"), "{:?}", seen.unknown);
}

#[test]
fn without_debian_version_the_packages_are_still_there() {
    let seen = scan(&[&[RELEASE, File("var/lib/dpkg/status", STATUS)]]);
    assert_eq!(names(&seen), ["bash"]);
    assert_eq!(seen.os.as_ref().unwrap().version_id, "12");
    assert_eq!(seen.packages[0].purl, "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12");
    // Without any release file they are listed, and it is said that they cannot be matched.
    let seen = scan(&[&[File("var/lib/dpkg/status", STATUS)]]);
    assert_eq!(names(&seen), ["bash"]);
    assert!(seen.unknown.iter().any(|u| u.what == "os"), "{:?}", seen.unknown);
}

#[test]
fn a_java_archive_needs_no_network() {
    // A stored zip with one manifest: no pom.properties, so others would ask a database or a server by its digest.
    let manifest = b"Manifest-Version: 1.0\r\nImplementation-Title: thing\r\nImplementation-Version: 1.2\r\n";
    let jar = stored_zip("META-INF/MANIFEST.MF", manifest);
    let seen = scan_bytes("opt/app/thing-1.2.jar", &jar, &Options::default());
    assert_eq!(names(&seen), ["thing"]);
    assert_eq!((seen.packages[0].version.as_str(), seen.packages[0].kind), ("1.2", PackageKind::Maven));
    // One that cannot be named is listed by its file, and does not end the scan.
    let nameless = stored_zip("a.class", b"x");
    let seen = scan_bytes("opt/app/other.jar", &nameless, &Options::default());
    assert!(seen.packages.len() + seen.unknown.len() > 0, "{seen:?}");
}

fn stored_zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let (size, length) = ((content.len() as u32).to_le_bytes(), (name.len() as u16).to_le_bytes());
    let common =
        [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &crc.sum().to_le_bytes(), &size, &size, &length, &[0, 0]].concat();
    let mut zip = [b"PK\x03\x04", common.as_slice(), name.as_bytes(), content].concat();
    let directory = zip.len() as u32;
    zip.extend([b"PK\x01\x02\x14\x00", common.as_slice(), &[0; 14], name.as_bytes()].concat());
    let end = zip.len() as u32 - directory;
    zip.extend([b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &end.to_le_bytes()[..], &directory.to_le_bytes(), &[0, 0]].concat());
    zip
}

#[test]
fn a_foreign_bill_keeps_its_distributions_packages() {
    // As Syft writes it: the distribution is a component, its packages have purls with `distro` and `upstream`.
    let syft = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
        {"type": "library", "name": "libssl3", "version": "3.0.15-1~deb12u1",
         "purl": "pkg:deb/debian/libssl3@3.0.15-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl",
         "properties": [{"name": "syft:package:type", "value": "deb"}]},
        {"type": "operating-system", "name": "debian", "version": "12"}]}"#;
    // As Trivy writes it: the source is in properties.
    let trivy = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
        {"type": "operating-system", "name": "debian", "version": "12.8", "properties": [{"name": "aquasecurity:trivy:Class", "value": "os-pkgs"}]},
        {"type": "library", "name": "libssl3", "version": "3.0.15-1~deb12u1",
         "purl": "pkg:deb/debian/libssl3@3.0.15-1~deb12u1?arch=amd64&distro=debian-12.8",
         "properties": [{"name": "aquasecurity:trivy:SrcName", "value": "openssl"}, {"name": "aquasecurity:trivy:SrcVersion", "value": "3.0.15"},
            {"name": "aquasecurity:trivy:SrcRelease", "value": "1~deb12u1"}, {"name": "aquasecurity:trivy:PkgType", "value": "debian"}]}]}"#;
    for (who, bill) in [("syft", syft), ("trivy", trivy)] {
        let seen = read_sbom(bill.as_bytes(), "bom.json").unwrap();
        let os = seen.os.as_ref().unwrap_or_else(|| panic!("{who}: the distribution is lost"));
        assert_eq!((os.id.as_str(), os.version_id.split('.').next().unwrap()), ("debian", "12"), "{who}");
        let package = seen.packages.iter().find(|p| p.name == "libssl3").unwrap();
        assert_eq!(package.kind, PackageKind::Deb, "{who}");
        let source = package.source.as_ref().unwrap_or_else(|| panic!("{who}: the source package is lost"));
        assert_eq!((source.name.as_str(), source.version.as_str()), ("openssl", "3.0.15-1~deb12u1"), "{who}");
    }
}
