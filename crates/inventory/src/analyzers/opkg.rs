//! opkg's database, as on OpenWrt and embedded systems: `status` in control format and `info/NAME.list`.

use crate::analyzer::{Analyzer, Hook, Size};
use crate::control::{paragraphs, relation_names};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Package, PackageKind, SourcePackage};

/// Reads opkg's database.
pub struct Opkg;

impl Analyzer for Opkg {
    fn name(&self) -> &'static str {
        "opkg"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[
            Hook::Dir("usr/lib/opkg"),
            Hook::Dir("usr/lib/opkg/info"),
            Hook::Dir("var/lib/opkg"),
            Hook::Dir("var/lib/opkg/info"),
            Hook::Dir("opt/lib/opkg"),
            Hook::Dir("opt/lib/opkg/info"),
        ]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.ends_with(b"/opkg/status") || path.ends_with(b".list")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if file.path.ends_with(".list") {
            // Newer versions write the mode, and a link's target, behind the path.
            let paths = file.all()?.split(|b| *b == b'\n').filter_map(|line| line.split(|b| *b == b'\t').next());
            for path in paths.filter(|path| !path.is_empty()) {
                out.owned(path);
            }
            out.note(Note::FilesOf(file.name().trim_end_matches(".list").to_owned()));
            return Ok(());
        }
        paragraphs(file.all()?, |p| {
            let Some(name) = p.get("Package") else {
                return out.unknown("package", "an entry of the package database has no readable name");
            };
            if p.get("Status").is_some_and(|s| matches!(s.split_whitespace().nth(2), Some("not-installed"))) {
                return;
            }
            let mut package = Package::new(PackageKind::Opkg, name, p.get("Version").unwrap_or_default());
            package.arch = p.get("Architecture").map(str::to_owned);
            // OpenWrt gives the path of the source in its feeds, Yocto a recipe file's name.
            let source = p.get("SourceName").or(p.get("Source").and_then(|s| s.rsplit('/').next())).unwrap_or(name);
            package.source = Some(SourcePackage { name: source.to_owned(), version: package.version.clone() });
            package.licenses = p.get("License").map(str::to_owned).into_iter().collect();
            package.depends = p.get("Depends").map(relation_names).unwrap_or_default();
            out.package(package);
        });
        out.note(Note::DatabaseRead(PackageKind::Opkg));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn status_of_a_router() {
        let text = b"Package: libubox20230523\nVersion: 2024-01-26-1\nDepends: libc, libfoo (= 1)\nStatus: install user installed\nArchitecture: mips_24kc\nSource: package/libs/libubox\n\nPackage: x\nVersion: 1\nStatus: unknown ok not-installed\n";
        let facts = read(&Opkg, "usr/lib/opkg/status", text);
        assert_eq!(packages(&facts), ["libubox20230523 2024-01-26-1"]);
        assert_eq!(facts.packages[0].source.as_ref().unwrap().name, "libubox");
        assert_eq!(facts.packages[0].depends, ["libc", "libfoo"]);
        let files = read(&Opkg, "usr/lib/opkg/info/libubox20230523.list", b"/lib/libubox.so.1\t0100755\n");
        assert_eq!(files.owned, [crate::pathhash::owner(b"lib/libubox.so.1")]);
        assert_eq!(files.notes, [Note::FilesOf("libubox20230523".into())]);
    }
}
