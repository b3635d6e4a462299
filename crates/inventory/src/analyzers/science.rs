//! R and Julia: `renv.lock`, installed R packages' `DESCRIPTION`, `Manifest.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::control::paragraphs;
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Text};
use crate::model::{Evidence, Package, PackageKind};

/// Reads R's and Julia's files.
pub struct Science;

#[derive(Deserialize)]
struct Renv {
    #[serde(default, rename = "Packages")]
    packages: BTreeMap<String, RenvEntry>,
}

#[derive(Deserialize)]
struct RenvEntry {
    #[serde(default, rename = "Version")]
    version: Text,
}

impl Analyzer for Science {
    fn name(&self) -> &'static str {
        "r-julia"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("renv.lock"), Hook::Name("DESCRIPTION"), Hook::Name("Manifest.toml")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        // Installed packages sit in a library: `…/library/NAME/DESCRIPTION`, `…/site-library/NAME/DESCRIPTION`.
        !path.ends_with(b"DESCRIPTION")
            || path.rsplit(|b| *b == b'/').nth(2).is_some_and(|dir| dir.ends_with(b"library"))
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        match file.name() {
            "renv.lock" => {
                let lock: Renv = json::parse(file.all()?)?;
                for (name, entry) in lock.packages {
                    out.package(found(PackageKind::Cran, &name, &entry.version.0, Evidence::Lock));
                }
            }
            "DESCRIPTION" => {
                paragraphs(file.all()?, |p| {
                    let Some(name) = p.get("Package") else { return };
                    let mut package =
                        found(PackageKind::Cran, name, p.get("Version").unwrap_or_default(), Evidence::Metadata);
                    package.licenses = p.get("License").map(str::to_owned).into_iter().collect();
                    out.package(package);
                });
            }
            _ => julia(&toml::from_str(&file.text()?)?, out),
        }
        Ok(())
    }
}

/// Version 2 has `[[deps.Name]]`, version 1 `[[Name]]`; standard libraries have no version or no tree hash.
fn julia(manifest: &toml::Table, out: &mut Sink<'_>) {
    let table = manifest.get("deps").and_then(toml::Value::as_table).unwrap_or(manifest);
    for (name, entries) in table {
        for entry in entries.as_array().into_iter().flatten() {
            let version = entry.get("version").and_then(toml::Value::as_str);
            if let (Some(version), true) = (version, entry.get("git-tree-sha1").is_some()) {
                out.package(found(PackageKind::Julia, name, version, Evidence::Lock));
            }
        }
    }
}

fn found(kind: PackageKind, name: &str, version: &str, evidence: Evidence) -> Package {
    let mut package = Package::new(kind, name, version);
    package.evidence = evidence;
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn r_and_julia() {
        let renv = br#"{"R":{"Version":"4.2.0"},"Packages":{"markdown":{"Package":"markdown","Version":"1.0","Source":"Repository"}}}"#;
        assert_eq!(packages(&read(&Science, "renv.lock", renv)), ["markdown 1.0"]);
        assert!(Science.wants(b"usr/local/lib/R/site-library/readxl/DESCRIPTION"));
        assert!(!Science.wants(b"src/pkg/DESCRIPTION"));
        let text = b"Package: readxl\nVersion: 1.4.2\nLicense: MIT + file LICENSE\nDescription: x\n  y\n";
        assert_eq!(packages(&read(&Science, "usr/lib/R/site-library/readxl/DESCRIPTION", text)), ["readxl 1.4.2"]);
        let julia = b"julia_version = \"1.9\"\nmanifest_format = \"2.0\"\n[[deps.JSON]]\ngit-tree-sha1 = \"x\"\nuuid = \"y\"\nversion = \"0.21.4\"\n[[deps.Dates]]\nuuid = \"z\"\n";
        assert_eq!(packages(&read(&Science, "Manifest.toml", julia)), ["JSON 0.21.4"]);
    }
}
