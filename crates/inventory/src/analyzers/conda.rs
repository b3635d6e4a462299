//! Conda environments: `conda-meta/NAME-VERSION-BUILD.json`.

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Licenses, Text};
use crate::model::{Package, PackageKind};

/// Reads conda's records.
pub struct Conda;

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
    #[serde(default)]
    license: Licenses,
    #[serde(default)]
    subdir: Text,
    #[serde(default)]
    channel: Text,
}

impl Analyzer for Conda {
    fn name(&self) -> &'static str {
        "conda"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Ext("json")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.rsplit(|b| *b == b'/').nth(1) == Some(b"conda-meta")
    }

    fn size(&self) -> Size {
        // The record lists every file.
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let record: Record = json::parse(file.all()?)?;
        let Some(name) = record.name.some() else { return Ok(()) };
        let mut package = Package::new(PackageKind::Conda, name, record.version.0);
        package.licenses = record.license.0;
        package.arch = record.subdir.some();
        package.vendor = record.channel.some();
        out.package(package);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn a_record() {
        assert!(Conda.wants(b"opt/conda/conda-meta/openssl-3.0.9-0.json"));
        assert!(!Conda.wants(b"opt/x.json"));
        let text = br#"{"name":"openssl","version":"3.0.9","build":"h1","license":"Apache-2.0","subdir":"linux-64","files":["a"]}"#;
        let facts = read(&Conda, "opt/conda/conda-meta/openssl-3.0.9-0.json", text);
        assert_eq!(packages(&facts), ["openssl 3.0.9"]);
    }
}
