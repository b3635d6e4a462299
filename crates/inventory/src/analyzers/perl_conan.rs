//! Perl and Conan: modules that cpanm installed (`.meta/DIST-VERSION/install.json`), Carton's `cpanfile.snapshot`,
//! and Conan's `conan.lock`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Text};
use crate::model::{Evidence, Package, PackageKind};

/// Reads Perl's and Conan's files.
pub struct PerlConan;

#[derive(Deserialize)]
struct Cpanm {
    #[serde(default)]
    dist: Text,
}

#[derive(Deserialize)]
struct ConanLock {
    /// Conan 2: `name/version#revision%time`.
    #[serde(default)]
    requires: Vec<Text>,
    #[serde(default)]
    build_requires: Vec<Text>,
    /// Conan 1.
    #[serde(default)]
    graph_lock: Option<ConanGraph>,
}

#[derive(Deserialize)]
struct ConanGraph {
    #[serde(default)]
    nodes: BTreeMap<String, ConanNode>,
}

#[derive(Deserialize)]
struct ConanNode {
    #[serde(default, rename = "ref")]
    reference: Text,
}

impl Analyzer for PerlConan {
    fn name(&self) -> &'static str {
        "perl-conan"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("install.json"), Hook::Name("cpanfile.snapshot"), Hook::Name("conan.lock")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        !path.ends_with(b"install.json") || path.rsplit(|b| *b == b'/').nth(2) == Some(b".meta")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        match file.name() {
            "install.json" => {
                let record: Cpanm = json::parse(file.all()?)?;
                distribution(&record.dist.0, Evidence::Metadata, out);
            }
            "cpanfile.snapshot" => {
                // Distributions at two blanks; their fields deeper.
                for line in file.text()?.lines() {
                    if let Some(name) = line.strip_prefix("  ").filter(|l| !l.starts_with(' ')) {
                        distribution(name.trim(), Evidence::Lock, out);
                    }
                }
            }
            _ => {
                let lock: ConanLock = json::parse(file.all()?)?;
                lock.requires.iter().for_each(|r| conan(&r.0, false, out));
                lock.build_requires.iter().for_each(|r| conan(&r.0, true, out));
                lock.graph_lock
                    .into_iter()
                    .flat_map(|g| g.nodes.into_values())
                    .for_each(|n| conan(&n.reference.0, false, out));
            }
        }
        Ok(())
    }
}

/// `HTTP-Tiny-0.080`: the version begins at the last dash before a digit.
fn distribution(text: &str, evidence: Evidence, out: &mut Sink<'_>) {
    let Some((name, version)) = text.rsplit_once('-') else { return };
    if version.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) {
        let mut package = Package::new(PackageKind::Cpan, name, version);
        package.evidence = evidence;
        out.package(package);
    }
}

fn conan(reference: &str, dev: bool, out: &mut Sink<'_>) {
    let plain = reference.split(['#', '@']).next().unwrap_or_default();
    if let Some((name, version)) = plain.split_once('/') {
        let mut package = Package::new(PackageKind::Conan, name, version);
        package.evidence = Evidence::Lock;
        package.dev = dev;
        out.package(package);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn perl() {
        let path = "usr/local/lib/perl5/x/.meta/HTTP-Tiny-0.080/install.json";
        assert!(PerlConan.wants(path.as_bytes()) && !PerlConan.wants(b"app/install.json"));
        assert_eq!(
            packages(&read(&PerlConan, path, br#"{"name":"HTTP::Tiny","dist":"HTTP-Tiny-0.080"}"#)),
            ["HTTP-Tiny 0.080"]
        );
        let snapshot = b"# carton snapshot format: version 1.0\nDISTRIBUTIONS\n  Mojolicious-9.31\n    pathname: S/SR/SRI/Mojolicious-9.31.tar.gz\n    provides:\n      Mojo 9.31\n";
        assert_eq!(packages(&read(&PerlConan, "cpanfile.snapshot", snapshot)), ["Mojolicious 9.31"]);
    }

    #[test]
    fn conan_locks() {
        let two = br#"{"version":"0.5","requires":["zlib/1.2.11#ffa7%1675"],"build_requires":["cmake/3.25"]}"#;
        let facts = read(&PerlConan, "conan.lock", two);
        assert_eq!(packages(&facts), ["zlib 1.2.11", "cmake 3.25"]);
        assert!(facts.packages[1].dev);
        let one = br#"{"graph_lock":{"nodes":{"0":{"ref":""},"1":{"ref":"zlib/1.2.12"}}},"version":"0.4"}"#;
        assert_eq!(packages(&read(&PerlConan, "conan.lock", one)), ["zlib 1.2.12"]);
    }
}
