//! RPM's database in all three formats, and the list that distroless Azure Linux images carry instead.

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Package, PackageKind, SourcePackage};
use crate::rpmdb::header::{Header, tag};
use crate::rpmdb::headers;

/// Reads RPM's database.
pub struct Rpm;

/// Words in the vendor tag of distributions. Files of other vendors' packages are not covered by the distribution's
/// advisories, so language packages in them count.
const DISTRIBUTIONS: &[&str] = &[
    "Red Hat",
    "CentOS",
    "Fedora",
    "Rocky",
    "AlmaLinux",
    "Amazon",
    "SUSE",
    "Oracle",
    "Microsoft",
    "VMware",
    "Photon",
    "Scientific",
    "openEuler",
    "Mageia",
    "CloudLinux",
    "Alibaba",
    "Tencent",
    "Broadcom",
];

impl Analyzer for Rpm {
    fn name(&self) -> &'static str {
        "rpm"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[
            Hook::Dir("var/lib/rpm"),
            Hook::Dir("usr/lib/sysimage/rpm"),
            Hook::Dir("usr/share/rpm"),
            Hook::Dir("usr/lib/rpm"),
            Hook::Dir("var/lib/rpmmanifest"),
        ]
    }

    fn wants(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        matches!(name, b"Packages" | b"Packages.db" | b"rpmdb.sqlite" | b"rpmdb.sqlite-wal" | b"container-manifest-2")
    }

    fn size(&self) -> Size {
        Size::Binary
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        match file.name() {
            "container-manifest-2" => {
                for line in file.text()?.lines().filter(|line| !line.is_empty()) {
                    manifest_line(line, out);
                }
            }
            "rpmdb.sqlite-wal" => {
                // A header of 32 bytes, then frames.
                if file.source().size() > 32 {
                    out.unknown(
                        "package-list",
                        "the last changes to RPM's database are only in its write-ahead log, which is not read",
                    );
                }
                return Ok(());
            }
            _ => {
                let mut blobs = 0usize;
                let mut damage = Vec::new();
                let mut found: Vec<Package> = Vec::new();
                let mut owned: Vec<Vec<u8>> = Vec::new();
                headers(
                    file.source(),
                    &mut |blob| {
                        blobs += 1;
                        if let Some(package) = Header::parse(blob).and_then(|h| package(&h, &mut owned)) {
                            owned.drain(..).for_each(|path| out.owned(&path));
                            out.files_of(&package.name);
                            found.push(package);
                        } else if !Header::parse(blob).is_some_and(|h| is_key(&h)) {
                            out.unknown(
                                "package",
                                format!("record {blobs} of the package database is no readable package header"),
                            );
                        }
                    },
                    &mut |why| damage.push(why),
                )?;
                found.into_iter().for_each(|p| out.package(p));
                damage.into_iter().take(8).for_each(|why| out.unknown("package-list", why));
            }
        }
        out.note(Note::DatabaseRead(PackageKind::Rpm));
        Ok(())
    }
}

/// Keys for signatures are kept among the packages.
fn is_key(header: &Header<'_>) -> bool {
    header.text(tag::NAME).as_deref() == Some("gpg-pubkey")
}

fn package(header: &Header<'_>, owned: &mut Vec<Vec<u8>>) -> Option<Package> {
    let name = header.text(tag::NAME)?;
    if name == "gpg-pubkey" {
        return None;
    }
    let (version, release) = (header.text(tag::VERSION)?, header.text(tag::RELEASE)?);
    let epoch = header.number(tag::EPOCH).filter(|e| *e != 0);
    let full = |rest: &str| epoch.map_or_else(|| rest.to_owned(), |epoch| format!("{epoch}:{rest}"));
    let mut package = Package::new(PackageKind::Rpm, name, full(&format!("{version}-{release}")));
    package.arch = header.text(tag::ARCH);
    package.licenses = header.text(tag::LICENSE).into_iter().collect();
    package.source = header.text(tag::SOURCE_RPM).and_then(|s| source(&s, &full));
    let vendor = header.text(tag::VENDOR);
    if vendor.as_deref().is_none_or(|v| DISTRIBUTIONS.iter().any(|d| v.contains(d))) {
        files(header, owned);
    }
    // The module is what advisories need; the vendor is the next best fact.
    package.vendor = header.text(tag::MODULARITY_LABEL).or(vendor);
    Some(package)
}

/// `openssl-3.0.7-27.el9.src.rpm`; the source has its package's epoch.
fn source(file: &str, full: &dyn Fn(&str) -> String) -> Option<SourcePackage> {
    let stem = file.strip_suffix(".rpm")?.rsplit_once('.')?.0;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    Some(SourcePackage { name: name.to_owned(), version: full(&format!("{version}-{release}")) })
}

fn files(header: &Header<'_>, owned: &mut Vec<Vec<u8>>) {
    let dirs: Vec<&[u8]> = header.texts(tag::DIR_NAMES).collect();
    for (name, dir) in header.texts(tag::BASE_NAMES).zip(header.numbers(tag::DIR_INDEXES)) {
        if let Some(dir) = usize::try_from(dir).ok().and_then(|index| dirs.get(index)) {
            owned.push([dir, name].concat());
        }
    }
}

/// Fields between tabs: name, version-release, two times, vendor, (none), size, architecture, epoch, source package.
fn manifest_line(line: &str, out: &mut Sink<'_>) {
    let fields: Vec<&str> = line.split('\t').collect();
    let field = |index: usize| fields.get(index).copied().filter(|f| !matches!(*f, "" | "(none)"));
    let (Some(name), Some(version)) = (field(0), field(1)) else {
        return out.unknown("package", "a line of the package list makes no sense");
    };
    let epoch = field(8).filter(|e| *e != "0" && e.bytes().all(|b| b.is_ascii_digit()));
    let full = |rest: &str| epoch.map_or_else(|| rest.to_owned(), |epoch| format!("{epoch}:{rest}"));
    let mut package = Package::new(PackageKind::Rpm, name, full(version));
    package.arch = field(7).map(str::to_owned);
    package.vendor = field(4).map(str::to_owned);
    package.source = field(9).and_then(|s| source(s, &full));
    out.package(package);
}

#[cfg(test)]
#[path = "rpm_tests.rs"]
mod tests;
