//! pip's requirements files, as far as they pin versions: `name==1.2.3` (PEP 508, pip's file format).

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads requirements files.
pub struct Requirements;

impl Analyzer for Requirements {
    fn name(&self) -> &'static str {
        "requirements"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Ext("txt")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        // An egg-info's `requires.txt` states wishes, no versions.
        name.starts_with(b"requirements")
            || name.ends_with(b"-requirements.txt")
            || path.ends_with(b"/requirements/base.txt")
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let dev = file.name().contains("dev") || file.name().contains("test");
        for line in file.text()?.lines() {
            if let Some((name, version)) = pinned(line) {
                let mut package = Package::new(PackageKind::PyPi, name, version);
                package.evidence = Evidence::Manifest;
                package.dev = dev;
                out.package(package);
            }
        }
        Ok(())
    }
}

/// `name[extras] == version ; marker  # comment  --hash=…  \`
fn pinned(line: &str) -> Option<(&str, &str)> {
    let line = line.split(" #").next()?.trim();
    let (name, rest) = line.split_once("==")?;
    let name = name.split('[').next()?.trim();
    let rest = rest.trim_start_matches('=').trim_start();
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ';' | ',' | '\\' | '#')).unwrap_or(rest.len());
    let version = rest.get(..end)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (is_name && version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains('*')).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pins_count() {
        for (line, want) in [
            ("requests==2.31.0", Some(("requests", "2.31.0"))),
            ("uvicorn[standard] == 0.23.2 ; python_version > '3' # why", Some(("uvicorn", "0.23.2"))),
            ("a===1.0 --hash=sha256:x \\", Some(("a", "1.0"))),
            ("b>=1,==1.*", None),
            ("b>=1", None),
            ("# c==1", None),
            ("-r other.txt", None),
            ("git+https://x/y.git@v==1", None),
        ] {
            assert_eq!(pinned(line), want, "{line}");
        }
        assert!(Requirements.wants(b"app/requirements-dev.txt"));
        assert!(!Requirements.wants(b"app/notes.txt"));
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = pinned(&text); }
    }
}
