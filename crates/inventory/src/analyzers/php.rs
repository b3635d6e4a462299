//! PHP: Composer's `vendor/composer/installed.json` and `composer.lock`.

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Licenses, Text};
use crate::model::{Evidence, Package, PackageKind};

/// Reads Composer's files.
pub struct Php;

#[derive(Deserialize)]
#[serde(untagged)]
enum Installed {
    /// Composer 2.
    Object {
        packages: Vec<Entry>,
        #[serde(default, rename = "dev-package-names")]
        dev: Vec<String>,
    },
    /// Composer 1.
    List(Vec<Entry>),
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    packages: Vec<Entry>,
    #[serde(default, rename = "packages-dev")]
    dev: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
    #[serde(default)]
    license: Licenses,
}

impl Analyzer for Php {
    fn name(&self) -> &'static str {
        "composer"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("installed.json"), Hook::Name("composer.lock")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.ends_with(b"composer.lock") || path.ends_with(b"composer/installed.json")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if file.name() == "composer.lock" {
            let lock: Lock = json::parse(file.all()?)?;
            lock.packages.into_iter().for_each(|entry| add(entry, Evidence::Lock, false, out));
            lock.dev.into_iter().for_each(|entry| add(entry, Evidence::Lock, true, out));
            return Ok(());
        }
        let (packages, dev) = match json::parse(file.all()?)? {
            Installed::Object { packages, dev } => (packages, dev),
            Installed::List(packages) => (packages, Vec::new()),
        };
        for entry in packages {
            let is_dev = dev.contains(&entry.name.0);
            add(entry, Evidence::Metadata, is_dev, out);
        }
        Ok(())
    }
}

fn add(entry: Entry, evidence: Evidence, dev: bool, out: &mut Sink<'_>) {
    let mut package = Package::new(PackageKind::Composer, entry.name.0, entry.version.0);
    package.evidence = evidence;
    package.licenses = entry.license.0;
    package.dev = dev;
    out.package(package);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn both_files_both_versions() {
        let two = br#"{"packages":[{"name":"symfony/yaml","version":"v6.4.0","license":["MIT"]},{"name":"t/t","version":"1.0"}],"dev":true,"dev-package-names":["t/t"]}"#;
        let facts = read(&Php, "app/vendor/composer/installed.json", two);
        assert_eq!(packages(&facts), ["symfony/yaml v6.4.0", "t/t 1.0"]);
        assert!(facts.packages[1].dev);
        let one = br#"[{"name":"a/b","version":"1.2"}]"#;
        assert_eq!(packages(&read(&Php, "app/vendor/composer/installed.json", one)), ["a/b 1.2"]);
        let lock = br#"{"packages":[{"name":"a/b","version":"1.2"}],"packages-dev":[{"name":"c/d","version":"2"}]}"#;
        assert_eq!(packages(&read(&Php, "composer.lock", lock)), ["a/b 1.2", "c/d 2"]);
    }
}
