//! Installed Node.js packages: `package.json` directly in `node_modules/NAME` or `node_modules/@SCOPE/NAME`, and in
//! Debian's `usr/share/nodejs` and `usr/lib/nodejs`.

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Licenses, Text};
use crate::model::{Evidence, Package, PackageKind};

/// Reads installed packages.
pub struct NpmInstalled;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
    #[serde(default)]
    license: Licenses,
    #[serde(default)]
    licenses: Licenses,
}

impl Analyzer for NpmInstalled {
    fn name(&self) -> &'static str {
        "npm"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("package.json")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        // Debian's packages lie in directories of their own; a package list, where there is one, owns them.
        let holds = |dir: &[u8]| {
            let of_debian: [&[u8]; 2] = [b"usr/share/nodejs", b"usr/lib/nodejs"];
            dir == b"node_modules" || dir.ends_with(b"/node_modules") || of_debian.contains(&dir)
        };
        let above = |path: &[u8]| path.iter().rposition(|b| *b == b'/').unwrap_or(0);
        let package = path.get(..above(path)).unwrap_or_default();
        let dir = package.get(..above(package)).unwrap_or_default();
        let is_scope = dir.rsplit(|b| *b == b'/').next().is_some_and(|name| name.starts_with(b"@"));
        holds(dir) || is_scope && holds(dir.get(..above(dir)).unwrap_or_default())
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let manifest: Manifest = json::parse(file.all()?)?;
        // A manifest without both only sets options for a directory (`{"type": "module"}`).
        let (Some(name), Some(version)) = (manifest.name.some(), manifest.version.some()) else { return Ok(()) };
        let mut package = Package::new(PackageKind::Npm, name, version);
        package.licenses = if manifest.license.0.is_empty() { manifest.licenses.0 } else { manifest.license.0 };
        package.evidence = Evidence::Metadata;
        out.package(package);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn only_the_top_of_a_package_counts() {
        for (path, yes) in [
            ("app/node_modules/lodash/package.json", true),
            ("node_modules/@babel/core/package.json", true),
            ("node_modules/.pnpm/a@1.0.0/node_modules/a/package.json", true),
            ("node_modules/lodash/test/package.json", false),
            ("node_modules/@babel/core/lib/package.json", false),
            ("usr/share/nodejs/express/package.json", true),
            ("usr/share/nodejs/@types/ws/package.json", true),
            ("usr/share/nodejs/ws/examples/a/package.json", false),
            ("app/package.json", false),
            ("package.json", false),
        ] {
            assert_eq!(NpmInstalled.wants(path.as_bytes()), yes, "{path}");
        }
    }

    #[test]
    fn name_version_licence() {
        let facts = read(
            &NpmInstalled,
            "node_modules/a/package.json",
            br#"{"name":"@s/a","version":"1.2.3","license":{"type":"ISC"},"x":[{}]}"#,
        );
        assert_eq!(packages(&facts), ["@s/a 1.2.3"]);
        assert_eq!(facts.packages[0].licenses, ["ISC"]);
        assert!(read(&NpmInstalled, "node_modules/a/package.json", br#"{"type":"module"}"#).packages.is_empty());
        assert_eq!(read(&NpmInstalled, "node_modules/a/package.json", b"{").unknown.len(), 1);
    }
}
