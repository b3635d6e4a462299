//! Rust programs built with cargo-auditable: the section `.dep-v0` holds the dependency list as compressed JSON.

use std::io::Read;

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads Rust programs.
pub struct RustBinary;

/// The format's own bound for the list, uncompressed.
const MAX_JSON_BYTES: u64 = 8 << 20;

#[derive(Deserialize)]
struct List {
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    root: bool,
}

impl Analyzer for RustBinary {
    fn name(&self) -> &'static str {
        "rust-binary"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Binary]
    }

    fn size(&self) -> Size {
        Size::Binary
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let source = file.source();
        let Some(elf) = file.elf() else { return Ok(()) };
        let Some(part) = elf.section(".dep-v0") else { return Ok(()) };
        let packed = source.slice(part.offset, part.size.min(MAX_JSON_BYTES))?;
        let mut json = Vec::new();
        flate2::read::ZlibDecoder::new(packed.as_slice())
            .take(MAX_JSON_BYTES + 1)
            .read_to_end(&mut json)
            .map_err(|e| Trouble(format!("the list of crates cannot be decompressed: {e}")))?;
        if json.len() as u64 > MAX_JSON_BYTES {
            return Err("the list of crates is over the format's limit of 8 MiB".into());
        }
        let list: List = serde_json::from_slice(&json)?;
        for entry in list.packages {
            let mut package = Package::new(PackageKind::Cargo, entry.name, entry.version);
            package.evidence = Evidence::BuildInfo;
            // Build scripts ran, but are not in the program.
            package.dev = !entry.root && entry.kind.as_deref() == Some("build");
            out.package(package);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::elf::build;
    use crate::testing::{packages, read};

    fn program(json: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(json).unwrap();
        build::elf(&[(".dep-v0", &encoder.finish().unwrap())])
    }

    #[test]
    fn crates_by_kind() {
        let json = br#"{"packages":[{"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"},{"name":"app","version":"0.1.0","source":"local","root":true,"dependencies":[0]}]}"#;
        let facts = read(&RustBinary, "usr/local/bin/app", &program(json));
        assert_eq!(packages(&facts), ["cc 1.0.0", "app 0.1.0"]);
        assert!(facts.packages[0].dev && !facts.packages[1].dev);
    }

    #[test]
    fn a_bomb_is_refused() {
        let facts = read(&RustBinary, "app", &program(&vec![b' '; 9 << 20]));
        assert!(facts.unknown[0].why.contains("limit"));
        assert_eq!(read(&RustBinary, "app", &build::elf(&[(".dep-v0", b"junk")])).unknown.len(), 1);
    }
}
