//! Python's TOML and JSON lock files: `poetry.lock`, `uv.lock`, `pdm.lock`, `pylock.toml` (PEP 751), `Pipfile.lock`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Text};
use crate::model::{Evidence, Package, PackageKind};

/// Reads Python's lock files.
pub struct PythonLocks;

/// The three TOML locks share `[[package]]` with name and version; PEP 751 calls it `packages`.
#[derive(Deserialize)]
struct TomlLock {
    #[serde(default, alias = "packages")]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    /// Poetry before 1.5.
    #[serde(default)]
    category: Option<String>,
    /// Poetry 2 and PDM.
    #[serde(default)]
    groups: Vec<String>,
    /// uv: `{ virtual = "." }`, `{ editable = "." }` for the project itself.
    #[serde(default)]
    source: Option<toml::Value>,
}

#[derive(Deserialize)]
struct Pipfile {
    #[serde(default)]
    default: BTreeMap<String, Pinned>,
    #[serde(default)]
    develop: BTreeMap<String, Pinned>,
}

#[derive(Deserialize)]
struct Pinned {
    #[serde(default)]
    version: Text,
}

impl Analyzer for PythonLocks {
    fn name(&self) -> &'static str {
        "python-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[
            Hook::Name("poetry.lock"),
            Hook::Name("uv.lock"),
            Hook::Name("pdm.lock"),
            Hook::Name("pylock.toml"),
            Hook::Name("Pipfile.lock"),
        ]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if file.name() == "Pipfile.lock" {
            return pipfile(json::parse(file.all()?)?, out);
        }
        let lock: TomlLock = toml::from_str(&file.text()?)?;
        for locked in lock.package {
            let local =
                locked.source.as_ref().and_then(toml::Value::as_table).is_some_and(|source| {
                    ["virtual", "editable", "workspace"].iter().any(|key| source.contains_key(*key))
                });
            if local {
                continue;
            }
            if locked.version.is_empty() {
                out.unknown("package", format!("`{}` has no version in the lock file", locked.name));
                continue;
            }
            let mut package = Package::new(PackageKind::PyPi, locked.name, locked.version);
            package.evidence = Evidence::Lock;
            package.dev = locked.category.as_deref() == Some("dev")
                || (!locked.groups.is_empty()
                    && !locked.groups.iter().any(|g| matches!(g.as_str(), "main" | "default")));
            out.package(package);
        }
        Ok(())
    }
}

fn pipfile(lock: Pipfile, out: &mut Sink<'_>) -> Result<(), Trouble> {
    for (group, dev) in [(lock.default, false), (lock.develop, true)] {
        for (name, pinned) in group {
            let Some(version) = pinned.version.0.strip_prefix("==").map(str::to_owned) else {
                out.unknown("package", format!("`{name}` is not locked to a version of a release"));
                continue;
            };
            let mut package = Package::new(PackageKind::PyPi, name, version);
            package.evidence = Evidence::Lock;
            package.dev = dev;
            out.package(package);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn poetry_uv_and_pylock() {
        let poetry = b"[[package]]\nname = \"a\"\nversion = \"1.0\"\ncategory = \"dev\"\n[package.dependencies]\nb = \"*\"\n\n[[package]]\nname = \"b\"\nversion = \"2\"\ngroups = [\"main\"]\n[metadata]\nlock-version = \"2.0\"\n";
        let facts = read(&PythonLocks, "poetry.lock", poetry);
        assert_eq!(packages(&facts), ["a 1.0", "b 2"]);
        assert!(facts.packages[0].dev && !facts.packages[1].dev);
        let uv = b"version = 1\n[[package]]\nname = \"app\"\nversion = \"0.1\"\nsource = { virtual = \".\" }\n[[package]]\nname = \"idna\"\nversion = \"3.7\"\nsource = { registry = \"https://pypi.org/simple\" }\n";
        assert_eq!(packages(&read(&PythonLocks, "uv.lock", uv)), ["idna 3.7"]);
        let pylock = b"lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\nversion = \"9\"\n";
        assert_eq!(packages(&read(&PythonLocks, "pylock.toml", pylock)), ["x 9"]);
        assert_eq!(read(&PythonLocks, "uv.lock", b"[[").unknown.len(), 1);
    }

    #[test]
    fn pipfile_lock() {
        let text = br#"{"_meta":{},"default":{"a":{"version":"==1.0"},"g":{"git":"https://x","ref":"y"}},"develop":{"t":{"version":"==2"}}}"#;
        let facts = read(&PythonLocks, "Pipfile.lock", text);
        assert_eq!(packages(&facts), ["a 1.0", "t 2"]);
        assert!(facts.packages[1].dev);
        assert_eq!(facts.unknown.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = read(&PythonLocks, "uv.lock", text.as_bytes()); }
    }
}
