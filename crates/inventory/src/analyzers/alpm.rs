//! pacman's local database: `/var/lib/pacman/local/NAME-VERSION/{desc,files}`.

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Package, PackageKind, SourcePackage};

/// Reads pacman's database.
pub struct Alpm;

impl Analyzer for Alpm {
    fn name(&self) -> &'static str {
        "alpm"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("desc"), Hook::Name("files"), Hook::Name("ALPM_DB_VERSION")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.starts_with(b"var/lib/pacman/local/")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        match file.name() {
            "ALPM_DB_VERSION" => out.note(Note::DatabaseRead(PackageKind::Alpm)),
            "files" => {
                let text = file.all()?;
                let mut listing = false;
                for line in text.split(|b| *b == b'\n') {
                    if line.starts_with(b"%") {
                        listing = line == b"%FILES%";
                    } else if listing && !line.is_empty() && !line.ends_with(b"/") {
                        out.owned(line);
                    }
                }
                // The directory is NAME-VERSION-RELEASE.
                let entry = file.dir().rsplit('/').next().unwrap_or_default();
                if let Some(name) = entry.rsplitn(3, '-').nth(2) {
                    out.note(Note::FilesOf(name.to_owned()));
                }
            }
            _ => {
                describe(&file.text()?, out);
                out.note(Note::DatabaseRead(PackageKind::Alpm));
            }
        }
        Ok(())
    }
}

fn describe(text: &str, out: &mut Sink<'_>) {
    let mut package = Package::new(PackageKind::Alpm, "", "");
    let mut base = None;
    let mut section = "";
    for line in text.lines() {
        if line.starts_with('%') && line.ends_with('%') {
            section = line;
            continue;
        }
        if line.is_empty() {
            continue;
        }
        match section {
            "%NAME%" => package.name = line.to_owned(),
            "%VERSION%" => package.version = line.to_owned(),
            "%BASE%" => base = Some(line.to_owned()),
            "%ARCH%" => package.arch = Some(line.to_owned()),
            "%LICENSE%" => package.licenses.push(line.to_owned()),
            "%DEPENDS%" => package.depends.extend(line.split(['<', '>', '=', ':']).next().map(str::to_owned)),
            _ => {}
        }
    }
    let name = base.unwrap_or_else(|| package.name.clone());
    package.source = Some(SourcePackage { name, version: package.version.clone() });
    out.package(package);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn desc_and_files() {
        let desc = "%NAME%\ngcc-libs\n\n%VERSION%\n14.1.1+r58+gfc9fb69ad62-1\n\n%BASE%\ngcc\n\n%ARCH%\nx86_64\n\n%LICENSE%\nGPL-3.0-with-GCC-exception\nGFDL-1.3-or-later\n\n%DEPENDS%\nglibc>=2.27\n\n";
        let facts = read(&Alpm, "var/lib/pacman/local/gcc-libs-14/desc", desc.as_bytes());
        assert_eq!(packages(&facts), ["gcc-libs 14.1.1+r58+gfc9fb69ad62-1"]);
        assert_eq!(facts.packages[0].source.as_ref().unwrap().name, "gcc");
        assert_eq!(facts.packages[0].depends, ["glibc"]);
        let files = read(
            &Alpm,
            "var/lib/pacman/local/gcc-libs-14-1/files",
            b"%FILES%\nusr/\nusr/lib/libgcc_s.so\n\n%BACKUP%\netc/x\n",
        );
        assert_eq!(files.owned, [crate::pathhash::owner(b"lib/libgcc_s.so")]);
        assert_eq!(files.notes, [Note::FilesOf("gcc-libs".into())]);
    }

    #[test]
    fn an_empty_entry_is_told() {
        assert_eq!(read(&Alpm, "var/lib/pacman/local/x/desc", b"").unknown.len(), 1);
    }
}
