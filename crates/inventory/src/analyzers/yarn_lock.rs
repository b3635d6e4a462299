//! Yarn's lock files: version 1 (its own format) and berry (YAML).

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};
use crate::yaml;

/// Reads Yarn's locks.
pub struct YarnLock;

impl Analyzer for YarnLock {
    fn name(&self) -> &'static str {
        "yarn-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("yarn.lock")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let text = file.text()?;
        if text.lines().any(|line| line.starts_with("__metadata:")) { berry(&text, out) } else { classic(&text, out) }
    }
}

fn package(name: &str, version: &str) -> Package {
    let mut package = Package::new(PackageKind::Npm, name, version);
    package.evidence = Evidence::Lock;
    package
}

/// `resolution: "name@npm:1.2.3"`; workspaces, links and patches have other protocols.
fn berry(text: &str, out: &mut Sink<'_>) -> Result<(), Trouble> {
    for (key, entry) in yaml::parse(text)?.entries() {
        if key == "__metadata" {
            continue;
        }
        let resolution = entry.text_at("resolution").unwrap_or(key);
        let Some((name, reference)) = split_descriptor(resolution) else {
            out.unknown("package", format!("`{key}` has no name that is understood"));
            continue;
        };
        if reference.starts_with("workspace:") || reference.starts_with("link:") || reference.starts_with("portal:") {
            continue;
        }
        let version = entry.text_at("version").unwrap_or_default();
        if version.is_empty() {
            out.unknown("package", format!("`{name}` has no version in the lock file"));
            continue;
        }
        let mut found = package(name, version);
        found.depends =
            entry.get("dependencies").map(|d| d.entries().iter().map(|(k, _)| k.clone()).collect()).unwrap_or_default();
        out.package(found);
    }
    Ok(())
}

/// `name@reference`, where a scope's `@` comes first.
fn split_descriptor(text: &str) -> Option<(&str, &str)> {
    let at = text.get(1..)?.find('@')? + 1;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Blocks of `"a@^1", "a@^2":` with indented `version "1.2.3"`.
fn classic(text: &str, out: &mut Sink<'_>) -> Result<(), Trouble> {
    let mut current: Option<&str> = None;
    let mut found: Option<Package> = None;
    let mut in_dependencies = false;
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            found.take().into_iter().for_each(|p| out.package(p));
            let first = line.trim_end_matches(':').split(',').next().unwrap_or_default().trim().trim_matches('"');
            let descriptor = split_descriptor(first);
            if descriptor.is_none() {
                out.unknown("package", format!("`{first}` has no name that is understood"));
            }
            // An alias: `a@npm:real@^1`.
            current = descriptor.map(|(name, reference)| {
                reference.strip_prefix("npm:").and_then(split_descriptor).map_or(name, |(real, _)| real)
            });
            in_dependencies = false;
        } else if let Some(rest) = line.strip_prefix("    ") {
            if let (true, Some(p)) = (in_dependencies, found.as_mut()) {
                p.depends.extend(rest.split(' ').next().map(|name| name.trim_matches('"').to_owned()));
            }
        } else {
            let field = line.trim();
            in_dependencies = matches!(field, "dependencies:" | "optionalDependencies:");
            if let (Some(version), Some(name)) = (field.strip_prefix("version "), current) {
                found = Some(package(name, version.trim_matches('"')));
            }
        }
    }
    found.into_iter().for_each(|p| out.package(p));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn version_one() {
        let text = "# yarn lockfile v1\n\n\n\"@babel/core@^7.0.0\", \"@babel/core@^7.1.0\":\n  version \"7.24.0\"\n  resolved \"https://x\"\n  dependencies:\n    \"@babel/x\" \"^7\"\n    semver \"^6\"\n\nlodash@^4:\n  version \"4.17.21\"\n\n\"alias@npm:real@^1\":\n  version \"1.0.0\"\n";
        let facts = read(&YarnLock, "yarn.lock", text.as_bytes());
        assert_eq!(packages(&facts), ["@babel/core 7.24.0", "lodash 4.17.21", "real 1.0.0"]);
        assert_eq!(facts.packages[0].depends, ["@babel/x", "semver"]);
    }

    #[test]
    fn berry_format() {
        let text = "__metadata:\n  version: 8\n\n\"@s/a@npm:^1.0.0, @s/a@npm:^1.2.0\":\n  version: 1.2.3\n  resolution: \"@s/a@npm:1.2.3\"\n  dependencies:\n    b: \"npm:^2\"\n  checksum: 10c0/x\n  languageName: node\n  linkType: hard\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n  linkType: soft\n";
        let facts = read(&YarnLock, "yarn.lock", text.as_bytes());
        assert_eq!(packages(&facts), ["@s/a 1.2.3"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = read(&YarnLock, "yarn.lock", text.as_bytes()); }
    }
}
