//! npm's lock files: `package-lock.json` and `npm-shrinkwrap.json`, lockfileVersion 1, 2 and 3 (package-lock-json(5)).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Licenses, Text};
use crate::model::{Evidence, Package, PackageKind};

/// Reads npm's locks.
pub struct NpmLock;

#[derive(Deserialize)]
struct Lock {
    /// Versions 2 and 3: by place (`node_modules/a/node_modules/b`); `""` is the project.
    #[serde(default)]
    packages: Option<BTreeMap<String, Placed>>,
    /// Versions 1 and 2: by name, nested.
    #[serde(default)]
    dependencies: Option<BTreeMap<String, Nested>>,
}

#[derive(Deserialize)]
struct Placed {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
    #[serde(default)]
    license: Licenses,
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    link: bool,
    #[serde(default)]
    dependencies: BTreeMap<String, Text>,
}

#[derive(Deserialize)]
struct Nested {
    #[serde(default)]
    version: Text,
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    dependencies: Option<BTreeMap<String, Nested>>,
}

impl Analyzer for NpmLock {
    fn name(&self) -> &'static str {
        "npm-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("package-lock.json"), Hook::Name("npm-shrinkwrap.json")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let lock: Lock = json::parse(file.all()?)?;
        match (lock.packages, lock.dependencies) {
            (Some(packages), _) => {
                for (place, package) in packages {
                    placed(&place, package, out);
                }
            }
            (None, Some(dependencies)) => nested(dependencies, out),
            (None, None) => {}
        }
        Ok(())
    }
}

fn placed(place: &str, entry: Placed, out: &mut Sink<'_>) {
    // Outside node_modules are the project and its workspaces: not dependencies.
    let Some((_, at)) = place.rsplit_once("node_modules/") else { return };
    if entry.link {
        return;
    }
    let name = entry.name.some().unwrap_or_else(|| at.to_owned());
    let Some(version) = entry.version.some() else {
        return out.unknown("package", format!("`{name}` has no version in the lock file"));
    };
    let mut package = lock_package(name, version, entry.dev);
    package.licenses = entry.license.0;
    package.depends = entry.dependencies.into_keys().collect();
    out.package(package);
}

fn nested(dependencies: BTreeMap<String, Nested>, out: &mut Sink<'_>) {
    for (key, entry) in dependencies {
        let version = entry.version.0;
        // `npm:real@1.0.0` is an alias; `file:…` and git addresses have no version of a release.
        match version.strip_prefix("npm:").and_then(|v| v.rsplit_once('@')) {
            Some((name, version)) => out.package(lock_package(name.to_owned(), version.to_owned(), entry.dev)),
            None if version.starts_with(|c: char| c.is_ascii_digit()) => {
                out.package(lock_package(key, version, entry.dev));
            }
            None if version.starts_with("file:") => {}
            None => out.unknown("package", format!("`{key}` is locked to `{version}`, which is no release")),
        }
        nested(entry.dependencies.unwrap_or_default(), out);
    }
}

fn lock_package(name: String, version: String, dev: bool) -> Package {
    let mut package = Package::new(PackageKind::Npm, name, version);
    package.evidence = Evidence::Lock;
    package.dev = dev;
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn version_three() {
        let text = br#"{"name":"app","lockfileVersion":3,"packages":{
          "":{"name":"app","version":"1.0.0"},
          "packages/w":{"version":"1.0.0"},
          "node_modules/w":{"resolved":"packages/w","link":true},
          "node_modules/a":{"version":"1.1.0","license":"MIT","dependencies":{"b":"^2"}},
          "node_modules/a/node_modules/@s/b":{"version":"2.0.0","dev":true},
          "node_modules/alias":{"name":"real","version":"3.0.0"}}}"#;
        let facts = read(&NpmLock, "package-lock.json", text);
        assert_eq!(packages(&facts), ["a 1.1.0", "@s/b 2.0.0", "real 3.0.0"]);
        assert_eq!(facts.packages.iter().map(|p| p.dev).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(facts.packages[0].depends, ["b"]);
    }

    #[test]
    fn version_one() {
        let text = br#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0","dev":true}}},
          "c":{"version":"npm:d@4.0.0"},"e":{"version":"git+ssh://git@x/e.git#abc"}}}"#;
        let facts = read(&NpmLock, "package-lock.json", text);
        assert_eq!(packages(&facts), ["a 1.0.0", "b 2.0.0", "d 4.0.0"]);
        assert_eq!(facts.unknown.len(), 1);
    }

    #[test]
    fn deep_nesting_is_refused_not_fatal() {
        let deep = format!("{}{}", r#"{"dependencies":{"a":"#.repeat(5000), "}");
        assert_eq!(read(&NpmLock, "package-lock.json", deep.as_bytes()).unknown.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) { let _ = read(&NpmLock, "package-lock.json", &bytes); }
    }
}
