//! The package database of Alpine, Wolfi and Chainguard images: `/lib/apk/db/installed` (apk-package(5), apk-v2(5)).

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Package, PackageKind, SourcePackage};

/// Reads apk's database.
pub struct Apk;

impl Analyzer for Apk {
    fn name(&self) -> &'static str {
        "apk"
    }

    fn hooks(&self) -> &'static [Hook] {
        // apk-tools 3 keeps it under /usr on merged systems.
        &[Hook::Dir("lib/apk/db"), Hook::Dir("usr/lib/apk/db")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.ends_with(b"/installed")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let text = file.all()?;
        let mut entry = Entry::default();
        for line in text.split(|b| *b == b'\n') {
            if line.is_empty() {
                entry.end(out);
                continue;
            }
            match (line.first(), line.get(1), line.get(2..)) {
                (Some(key), Some(b':'), Some(value)) => entry.field(*key, value, out),
                _ => out
                    .unknown("package", format!("a line of the package database makes no sense: `{}`", shorten(line))),
            }
        }
        entry.end(out);
        out.note(Note::DatabaseRead(PackageKind::Apk));
        Ok(())
    }
}

fn shorten(line: &[u8]) -> String {
    String::from_utf8_lossy(line.get(..line.len().min(40)).unwrap_or_default()).into_owned()
}

#[derive(Default)]
struct Entry {
    any: bool,
    name: String,
    version: String,
    arch: Option<String>,
    origin: Option<String>,
    license: Option<String>,
    depends: Vec<String>,
    dir: Vec<u8>,
}

impl Entry {
    fn field(&mut self, key: u8, value: &[u8], out: &mut Sink<'_>) {
        let text = || String::from_utf8_lossy(value).trim().to_owned();
        self.any = true;
        match key {
            b'P' => self.name = text(),
            b'V' => self.version = text(),
            b'A' => self.arch = Some(text()),
            b'o' => self.origin = Some(text()),
            b'L' => self.license = Some(text()),
            b'D' => self.depends = depends(&text()),
            b'F' => self.dir = value.to_vec(),
            b'R' if self.dir.is_empty() => out.owned(value),
            b'R' => out.owned(&[&self.dir, b"/".as_slice(), value].concat()),
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        let entry = std::mem::take(self);
        if !entry.any {
            return;
        }
        if entry.version.is_empty() && !entry.name.is_empty() {
            out.unknown("package", format!("`{}` has no version", entry.name));
        }
        out.files_of(&entry.name);
        let mut package = Package::new(PackageKind::Apk, entry.name, entry.version);
        let source = entry.origin.filter(|o| !o.is_empty()).unwrap_or_else(|| package.name.clone());
        package.source = Some(SourcePackage { name: source, version: package.version.clone() });
        package.arch = entry.arch;
        package.licenses = entry.license.filter(|l| !l.is_empty()).into_iter().collect();
        package.depends = entry.depends;
        out.package(package);
    }
}

/// Names of packages it needs; `so:`, `cmd:` and `pc:` provisions and conflicts are left out.
fn depends(text: &str) -> Vec<String> {
    text.split_whitespace()
        .filter(|d| !d.starts_with('!') && !d.contains(':') && !d.starts_with('/'))
        .filter_map(|d| d.split(['<', '>', '=', '~', '@']).next())
        .filter(|d| !d.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    const DB: &str = "C:Q1abc=\nP:libcrypto3\nV:3.3.1-r0\nA:x86_64\nS:1\nI:2\nT:Crypto library\nU:https://openssl.org\nL:Apache-2.0\no:openssl\nD:so:libc.musl-x86_64.so.1 !old ca-certificates-bundle>=20240226\nF:lib\nR:libcrypto.so.3\na:0:0:755\nZ:Q1x=\nF:etc/ssl\n\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nF:\nR:top\n\n";

    #[test]
    fn packages_origins_and_files() {
        let facts = read(&Apk, "lib/apk/db/installed", DB.as_bytes());
        assert_eq!(packages(&facts), ["libcrypto3 3.3.1-r0", "musl 1.2.5-r0"]);
        assert_eq!(facts.packages[0].source.as_ref().unwrap().name, "openssl");
        assert_eq!(facts.packages[0].depends, ["ca-certificates-bundle"]);
        assert_eq!(facts.packages[1].licenses, ["MIT"]);
        assert_eq!(facts.owned, [crate::pathhash::owner(b"lib/libcrypto.so.3"), crate::pathhash::owner(b"top")]);
        assert!(facts.unknown.is_empty());
    }

    #[test]
    fn damage_is_told() {
        let facts = read(&Apk, "lib/apk/db/installed", b"P:a\ngarbage\n\nV:1\n");
        assert_eq!(packages(&facts), ["a "]);
        assert_eq!(facts.unknown.len(), 3, "{:?}", facts.unknown);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) { let _ = read(&Apk, "lib/apk/db/installed", &bytes); }
    }
}
