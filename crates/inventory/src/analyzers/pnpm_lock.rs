//! pnpm's lock file, lockfileVersion 5 to 9.

use std::collections::HashMap;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};
use crate::yaml::{self, Yaml};

/// Reads pnpm's lock.
pub struct PnpmLock;

impl Analyzer for PnpmLock {
    fn name(&self) -> &'static str {
        "pnpm-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("pnpm-lock.yaml")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let lock = yaml::parse(&file.text()?)?;
        let Some(packages) = lock.get("packages") else { return Ok(()) };
        // Version 5 writes `/a/1.0.0`, later ones `/a@1.0.0` and `a@1.0.0`.
        let slashes = lock.text_at("lockfileVersion").is_some_and(|v| v.starts_with('5'));
        // Version 9 keeps dependencies apart, once for each set of peers: `a@1.0.0(react@18)`.
        let snapshots: HashMap<&str, &Yaml> = lock
            .get("snapshots")
            .map(|s| s.entries().iter().map(|(k, v)| (k.split('(').next().unwrap_or_default(), v)).collect())
            .unwrap_or_default();
        for (key, entry) in packages.entries() {
            let Some((name, version)) = name_version(key, entry, slashes) else {
                out.unknown("package", format!("`{key}` has no version of a release"));
                continue;
            };
            let mut package = Package::new(PackageKind::Npm, name, version);
            package.evidence = Evidence::Lock;
            package.dev = entry.text_at("dev") == Some("true");
            let depends = entry.get("dependencies").or_else(|| snapshots.get(key.as_str())?.get("dependencies"));
            package.depends = depends.map(|d| d.entries().iter().map(|(k, _)| k.clone()).collect()).unwrap_or_default();
            out.package(package);
        }
        Ok(())
    }
}

fn name_version(key: &str, entry: &Yaml, slashes: bool) -> Option<(String, String)> {
    if let (Some(name), Some(version)) = (entry.text_at("name"), entry.text_at("version")) {
        return Some((name.to_owned(), version.to_owned()));
    }
    let key = key.strip_prefix('/').unwrap_or(key);
    let key = key.split('(').next()?;
    let (name, version) = if slashes {
        let (name, version) = key.rsplit_once('/')?;
        (name, version.split('_').next()?)
    } else {
        let at = key.get(1..)?.find('@')? + 1;
        (key.get(..at)?, key.get(at + 1..)?)
    };
    let version = entry.text_at("version").unwrap_or(version);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| (name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn versions_five_six_and_nine() {
        let five = "lockfileVersion: 5.4\npackages:\n  /@s/a/1.0.0_react@18.0.0:\n    resolution: {integrity: x}\n    dev: true\n  /b/2.0.0:\n    resolution: {integrity: x}\n    dependencies:\n      c: 1.0.0\n    dev: false\n";
        let facts = read(&PnpmLock, "pnpm-lock.yaml", five.as_bytes());
        assert_eq!(packages(&facts), ["@s/a 1.0.0", "b 2.0.0"]);
        assert!(facts.packages[0].dev && !facts.packages[1].dev);
        assert_eq!(facts.packages[1].depends, ["c"]);
        let six = "lockfileVersion: '6.0'\npackages:\n\n  /@s/a@1.0.0(react@18.0.0):\n    resolution: {integrity: x}\n";
        assert_eq!(packages(&read(&PnpmLock, "pnpm-lock.yaml", six.as_bytes())), ["@s/a 1.0.0"]);
        let nine = "lockfileVersion: '9.0'\npackages:\n  '@s/a@1.0.0':\n    resolution: {integrity: x}\n  c@https://codeload.github.com/x:\n    resolution: {tarball: y}\n    version: 3.1.0\nsnapshots:\n  '@s/a@1.0.0(react@18)':\n    dependencies: {}\n";
        assert_eq!(packages(&read(&PnpmLock, "pnpm-lock.yaml", nine.as_bytes())), ["@s/a 1.0.0", "c 3.1.0"]);
    }
}
