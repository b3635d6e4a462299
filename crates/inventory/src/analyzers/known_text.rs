//! Toolchains and applications that state their version in a small text file of their own.

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads a JDK's `release`, Go's `VERSION` and WordPress's `version.php`.
pub struct KnownText;

impl Analyzer for KnownText {
    fn name(&self) -> &'static str {
        "known-text"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("release"), Hook::Name("VERSION"), Hook::Name("version.php")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.ends_with(b"/release") || path.ends_with(b"go/VERSION") || path.ends_with(b"wp-includes/version.php")
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let name = file.name().to_owned();
        let text = file.text()?;
        let found = match name.as_str() {
            "release" => jdk(&text),
            "VERSION" => go(&text),
            _ => wordpress(&text),
        };
        if let Some((kind, product, version)) = found {
            let mut package = Package::new(kind, product, version);
            package.evidence = Evidence::VersionString;
            out.package(package);
        }
        Ok(())
    }
}

type Found<'a> = Option<(PackageKind, &'static str, &'a str)>;

fn jdk(text: &str) -> Found<'_> {
    let field = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim().trim_matches('"'))
    };
    let version = field("JAVA_VERSION")?;
    let full = field("JAVA_RUNTIME_VERSION").filter(|full| full.starts_with(version)).unwrap_or(version);
    let product = match field("IMPLEMENTOR") {
        Some("Oracle Corporation") => "oracle-jdk",
        _ if field("GRAALVM_VERSION").is_some() => "graalvm",
        _ => "openjdk",
    };
    Some((PackageKind::Generic, product, full))
}

fn go(text: &str) -> Found<'_> {
    let version = text.lines().next()?.trim().strip_prefix("go")?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some((PackageKind::Golang, "toolchain", version))
}

fn wordpress(text: &str) -> Found<'_> {
    let line = text.lines().find(|line| line.starts_with("$wp_version"))?;
    let version = line.split('\'').nth(1)?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some((PackageKind::Generic, "wordpress", version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_files() {
        assert_eq!(
            jdk("IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_RUNTIME_VERSION=\"17.0.9+9\"\nJAVA_VERSION=\"17.0.9\"\n"),
            Some((PackageKind::Generic, "openjdk", "17.0.9+9"))
        );
        assert_eq!(go("go1.22.3\ntime 2024\n"), Some((PackageKind::Golang, "toolchain", "1.22.3")));
        assert_eq!(wordpress("<?php\n$wp_version = '6.4.2';\n"), Some((PackageKind::Generic, "wordpress", "6.4.2")));
        assert_eq!(jdk("Suite: stable"), None);
        assert!(KnownText.wants(b"opt/java/openjdk/release") && KnownText.wants(b"usr/local/go/VERSION"));
    }
}
