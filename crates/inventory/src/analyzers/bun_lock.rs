//! Bun's text lock file, `bun.lock`: JSON with comments and trailing commas.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json;
use crate::model::{Evidence, Package, PackageKind};

/// Reads Bun's lock.
pub struct BunLock;

#[derive(Deserialize)]
struct Lock {
    /// `"name": ["name@version", "registry", {…}, "integrity"]`
    #[serde(default)]
    packages: BTreeMap<String, Vec<Value>>,
}

impl Analyzer for BunLock {
    fn name(&self) -> &'static str {
        "bun-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("bun.lock"), Hook::Name("bun.lockb")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if file.name() == "bun.lockb" {
            return Err(
                "Bun's binary lock file is not read; `bun install --save-text-lockfile` writes the text form".into()
            );
        }
        let lock: Lock = json::parse(json::strip_comments(&file.text()?).as_bytes())?;
        for (key, entry) in lock.packages {
            let descriptor = entry.first().and_then(Value::as_str).unwrap_or_default();
            let at = descriptor.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
            let Some((name, version)) = at.and_then(|at| Some((descriptor.get(..at)?, descriptor.get(at + 1..)?)))
            else {
                out.unknown("package", format!("`{key}` has no version"));
                continue;
            };
            if version.starts_with("workspace:") || version.starts_with("file:") || version.starts_with("link:") {
                continue;
            }
            let mut package = Package::new(PackageKind::Npm, name, version);
            package.evidence = Evidence::Lock;
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
    fn text_form() {
        let text = "{\n  \"lockfileVersion\": 1,\n  \"packages\": {\n    \"@s/a\": [\"@s/a@1.0.0\", \"\", { \"dependencies\": {} }, \"sha512-x\"],\n    \"w\": [\"w@workspace:packages/w\"],\n    \"b/c\": [\"c@2.0.0\", \"\", {}, \"x\"],\n  }\n}\n";
        assert_eq!(packages(&read(&BunLock, "bun.lock", text.as_bytes())), ["@s/a 1.0.0", "c 2.0.0"]);
        assert_eq!(read(&BunLock, "bun.lockb", b"x").unknown.len(), 1);
    }
}
