//! Installed Python packages: `NAME-VERSION.dist-info/METADATA`, `NAME.egg-info` (a file, or a directory with
//! `PKG-INFO`), `EGG-INFO/PKG-INFO` (core metadata specifications of the PyPA).

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads installed packages' metadata.
pub struct PythonInstalled;

impl Analyzer for PythonInstalled {
    fn name(&self) -> &'static str {
        "python"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("METADATA"), Hook::Name("PKG-INFO"), Hook::Ext("egg-info")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.ends_with(b".dist-info/METADATA")
            || path.ends_with(b".egg-info/PKG-INFO")
            || path.ends_with(b"EGG-INFO/PKG-INFO")
            || path.ends_with(b".egg-info")
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let package = parse(&file.text()?);
        if package.name.is_empty() {
            return Err("has no Name".into());
        }
        if package.version.is_empty() {
            out.unknown("package", format!("`{}` has no version", package.name));
        }
        out.package(package);
        Ok(())
    }
}

/// Reads the headers; the description after them is left alone.
fn parse(text: &str) -> Package {
    let mut package = Package::new(PackageKind::PyPi, "", "");
    package.evidence = Evidence::Metadata;
    let mut classifiers = Vec::new();
    let mut license = String::new();
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key {
            "Name" => package.name = value.to_owned(),
            "Version" => package.version = value.to_owned(),
            "License-Expression" => package.licenses = vec![value.to_owned()],
            "License" if value != "UNKNOWN" => license = value.to_owned(),
            "Classifier" => {
                classifiers
                    .extend(value.strip_prefix("License :: ").and_then(|l| l.rsplit(" :: ").next()).map(str::to_owned));
            }
            "Requires-Dist" if !value.contains("extra ==") => {
                let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
                package.depends.extend(value.get(..end.unwrap_or(value.len())).map(str::to_owned));
            }
            _ => {}
        }
    }
    if package.licenses.is_empty() {
        // Some put the whole text of the licence there.
        package.licenses =
            if !license.is_empty() && license.len() <= 100 { vec![license] } else { std::mem::take(&mut classifiers) };
    }
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    const META: &str = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\nLicense: BSD-3-Clause\nClassifier: License :: OSI Approved :: BSD License\nRequires-Dist: MarkupSafe (>=2.0)\nRequires-Dist: Babel (>=2.7) ; extra == 'i18n'\n\nName: not-me\n";

    #[test]
    fn headers_only() {
        let facts =
            read(&PythonInstalled, "usr/lib/python3/dist-packages/Jinja2-3.1.2.dist-info/METADATA", META.as_bytes());
        assert_eq!(packages(&facts), ["Jinja2 3.1.2"]);
        assert_eq!(facts.packages[0].licenses, ["BSD-3-Clause"]);
        assert_eq!(facts.packages[0].depends, ["MarkupSafe"]);
    }

    #[test]
    fn places() {
        for (path, yes) in [
            ("x/a-1.dist-info/METADATA", true),
            ("x/a-1.egg-info", true),
            ("x/a-1.egg-info/PKG-INFO", true),
            ("x/a-1-py3.egg/EGG-INFO/PKG-INFO", true),
            ("x/METADATA", false),
            ("src/PKG-INFO", false),
        ] {
            assert_eq!(PythonInstalled.wants(path.as_bytes()), yes, "{path}");
        }
        assert_eq!(read(&PythonInstalled, "a.dist-info/METADATA", b"nothing").unknown.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = parse(&text); }
    }
}
