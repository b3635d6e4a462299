//! Ruby: installed gems (`specifications/NAME-VERSION.gemspec`) and `Gemfile.lock`.

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads gems.
pub struct Ruby;

impl Analyzer for Ruby {
    fn name(&self) -> &'static str {
        "ruby"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Ext("gemspec"), Hook::Name("Gemfile.lock"), Hook::Name("gems.locked")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        // A gemspec elsewhere is source code that computes its version.
        !path.ends_with(b".gemspec") || path.windows(16).any(|w| w == b"/specifications/")
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if !file.name().ends_with(".gemspec") {
            bundler(&file.text()?, out);
            return Ok(());
        }
        let package = gemspec(&file.text()?).ok_or("has no readable name and version")?;
        out.package(package);
        Ok(())
    }
}

/// RubyGems writes installed specifications in one fixed way: `s.name = "rack".freeze`.
fn gemspec(text: &str) -> Option<Package> {
    let field = |key: &str| {
        text.lines().map(str::trim).find_map(|line| {
            let rest = line.strip_prefix("s.").or_else(|| line.strip_prefix("spec."))?.strip_prefix(key)?;
            rest.trim_start().strip_prefix('=').map(str::trim)
        })
    };
    let name = quoted(field("name")?).next()?;
    let version = quoted(field("version")?).next()?;
    let mut package = Package::new(PackageKind::Gem, name, version);
    package.evidence = Evidence::Metadata;
    package.licenses = field("licenses")
        .or_else(|| field("license"))
        .map(|l| quoted(l).map(str::to_owned).collect())
        .unwrap_or_default();
    Some(package)
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'']).skip(1).step_by(2)
}

/// Sections in capitals; under `specs:` gems at four blanks, what they need at six.
fn bundler(text: &str, out: &mut Sink<'_>) {
    let mut section = "";
    let mut last: Option<Package> = None;
    for line in text.lines() {
        if !line.starts_with(' ') {
            section = line.trim();
            continue;
        }
        // PATH holds the project's own gems.
        if !matches!(section, "GEM" | "GIT" | "PLUGIN SOURCE") {
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        let text = line.trim();
        match depth {
            4 => {
                last.take().into_iter().for_each(|p| out.package(p));
                let Some((name, rest)) = text.split_once(" (") else { continue };
                let version = rest.trim_end_matches(')');
                // `1.15.0-x86_64-linux`: the platform is no part of the version; gems write pre-releases with dots.
                let mut package = Package::new(PackageKind::Gem, name, version.split('-').next().unwrap_or(version));
                package.evidence = Evidence::Lock;
                last = Some(package);
            }
            6 => {
                if let Some(package) = &mut last {
                    package.depends.extend(text.split(' ').next().map(|n| n.trim_end_matches('!').to_owned()));
                }
            }
            _ => {}
        }
    }
    last.into_iter().for_each(|p| out.package(p));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn specifications() {
        let text = b"# -*- encoding: utf-8 -*-\nGem::Specification.new do |s|\n  s.name = \"rack\".freeze\n  s.version = \"2.2.3\"\n\n  s.licenses = [\"MIT\".freeze, \"Ruby\"]\n  s.add_runtime_dependency(%q<x>.freeze, [\"~> 1\"])\nend\n";
        let facts = read(&Ruby, "usr/local/lib/ruby/gems/3.2.0/specifications/rack-2.2.3.gemspec", text);
        assert_eq!(packages(&facts), ["rack 2.2.3"]);
        assert_eq!(facts.packages[0].licenses, ["MIT", "Ruby"]);
        assert!(!Ruby.wants(b"app/rack.gemspec"));
        assert_eq!(read(&Ruby, "a/specifications/x.gemspec", b"").unknown.len(), 1);
    }

    #[test]
    fn lock() {
        let text = b"PATH\n  remote: .\n  specs:\n    mine (0.1)\n\nGEM\n  remote: https://rubygems.org/\n  specs:\n    nokogiri (1.15.0-x86_64-linux)\n      racc (~> 1.4)\n    racc (1.7.0)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  nokogiri\n";
        let facts = read(&Ruby, "Gemfile.lock", text);
        assert_eq!(packages(&facts), ["nokogiri 1.15.0", "racc 1.7.0"]);
        assert_eq!(facts.packages[0].depends, ["racc"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = gemspec(&text); let _ = read(&Ruby, "Gemfile.lock", text.as_bytes()); }
    }
}
