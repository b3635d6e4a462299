//! Ubuntu's chiselled images: `/var/lib/chisel/manifest.wall`, lines of JSON compressed with zstd.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Package, PackageKind};

/// Reads chisel's manifest.
pub struct Chisel;

/// Uncompressed bytes; a manifest of a large image has a few hundred KiB.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    arch: Option<String>,
    #[serde(default)]
    path: String,
}

impl Analyzer for Chisel {
    fn name(&self) -> &'static str {
        "chisel"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("manifest.wall")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.starts_with(b"var/lib/chisel/")
    }

    fn size(&self) -> Size {
        Size::Metadata
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let decoder = zstd::stream::read::Decoder::new(file.all()?)?.take(MAX_BYTES);
        let mut found = Vec::new();
        for line in BufReader::new(decoder).split(b'\n') {
            let line = line?;
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(&line)?;
            match line.kind.as_str() {
                "package" => {
                    let mut package = Package::new(PackageKind::Deb, line.name, line.version);
                    package.arch = line.arch;
                    found.push(package);
                }
                "path" => out.owned(line.path.as_bytes()),
                _ => {}
            }
        }
        if !found.is_empty() {
            out.unknown("package", "a chiselled image does not say from which source packages its packages are built; advisories that name only sources cannot be matched");
        }
        found.into_iter().for_each(|p| out.package(p));
        out.note(Note::DatabaseRead(PackageKind::Deb));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn manifest() {
        let text = "{\"jsonwall\":\"1.0\",\"schema\":\"1.0\",\"count\":3}\n{\"kind\":\"package\",\"name\":\"libc6\",\"version\":\"2.39-0ubuntu8\",\"sha256\":\"x\",\"arch\":\"amd64\"}\n{\"kind\":\"path\",\"path\":\"/usr/lib/libc.so.6\"}\n";
        let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
        let facts = read(&Chisel, "var/lib/chisel/manifest.wall", &packed);
        assert_eq!(packages(&facts), ["libc6 2.39-0ubuntu8"]);
        assert_eq!(facts.owned.len(), 1);
        assert!(!read(&Chisel, "var/lib/chisel/manifest.wall", b"junk").unknown.is_empty());
    }
}
