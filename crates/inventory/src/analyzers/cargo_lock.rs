//! Rust's `Cargo.lock`.

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads Cargo's lock.
pub struct CargoLock;

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Analyzer for CargoLock {
    fn name(&self) -> &'static str {
        "cargo-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("Cargo.lock")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let lock: Lock = toml::from_str(&file.text()?)?;
        // Packages without a source are the workspace's own members.
        for locked in lock.package.into_iter().filter(|p| p.source.is_some()) {
            let mut package = Package::new(PackageKind::Cargo, locked.name, locked.version);
            package.evidence = Evidence::Lock;
            package.depends =
                locked.dependencies.iter().filter_map(|d| d.split(' ').next()).map(str::to_owned).collect();
            out.package(package);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn own_members_are_left_out() {
        let text = b"version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"serde\"]\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.200\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"x\"\ndependencies = [\"serde_derive 1.0.0\"]\n";
        let facts = read(&CargoLock, "Cargo.lock", text);
        assert_eq!(packages(&facts), ["serde 1.0.200"]);
        assert_eq!(facts.packages[0].depends, ["serde_derive"]);
    }
}
