//! Haskell: `cabal.project.freeze` and `stack.yaml.lock`.

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};
use crate::yaml::{self, Yaml};

/// Reads Haskell's locks.
pub struct Haskell;

impl Analyzer for Haskell {
    fn name(&self) -> &'static str {
        "haskell-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("cabal.project.freeze"), Hook::Name("stack.yaml.lock")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if file.name() == "stack.yaml.lock" {
            let lock = yaml::parse(&file.text()?)?;
            for item in lock.get("packages").map(Yaml::items).unwrap_or_default() {
                let Some(text) = item.get("completed").and_then(|c| c.text_at("hackage")) else { continue };
                // name-1.2.3@sha256:…,size
                if let Some((name, version)) = text.split('@').next().and_then(|nv| nv.rsplit_once('-')) {
                    out.package(found(name, version));
                }
            }
            return Ok(());
        }
        // `constraints: any.aeson ==2.1.0.0,`
        for line in file.text()?.lines() {
            if let Some((name, version)) = line.trim().trim_end_matches(',').split_once(" ==") {
                let name = name.rsplit(' ').next().unwrap_or_default().trim_start_matches("any.");
                out.package(found(name, version.trim()));
            }
        }
        Ok(())
    }
}

fn found(name: &str, version: &str) -> Package {
    let mut package = Package::new(PackageKind::Hackage, name, version);
    package.evidence = Evidence::Lock;
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn cabal_and_stack() {
        let freeze = b"active-repositories: hackage.haskell.org:merge\nconstraints: any.aeson ==2.1.0.0,\n             aeson -cffi +ordered-keymap,\n             any.base ==4.17.0.0\nindex-state: x\n";
        assert_eq!(packages(&read(&Haskell, "cabal.project.freeze", freeze)), ["aeson 2.1.0.0", "base 4.17.0.0"]);
        let stack = b"packages:\n- completed:\n    hackage: fuzzyset-0.2.4@sha256:f1b6,1574\n    pantry-tree:\n      size: 574\n  original:\n    hackage: fuzzyset-0.2.4\nsnapshots: []\n";
        assert_eq!(packages(&read(&Haskell, "stack.yaml.lock", stack)), ["fuzzyset 0.2.4"]);
    }
}
