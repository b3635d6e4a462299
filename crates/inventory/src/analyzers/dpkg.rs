//! dpkg's database: `/var/lib/dpkg/status`, and `status.d/` as in distroless images (dpkg(1), deb-control(5)).

use crate::analyzer::{Analyzer, Hook, Size};
use crate::control::{Paragraph, paragraphs, relation_names};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Package, PackageKind, SourcePackage};

/// Reads dpkg's status.
pub struct Dpkg;

impl Analyzer for Dpkg {
    fn name(&self) -> &'static str {
        "dpkg"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Dir("var/lib/dpkg"), Hook::Dir("var/lib/dpkg/status.d")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path == b"var/lib/dpkg/status" || path.starts_with(b"var/lib/dpkg/status.d/")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let single = file.path != "var/lib/dpkg/status";
        if single && file.path.ends_with(".md5sums") {
            let package = file.name().trim_end_matches(".md5sums").to_owned();
            owned_by_sums(file.all()?, out);
            out.files_of(&package);
            return Ok(());
        }
        let text = file.all()?;
        if single && !looks_like_control(text) {
            return Ok(());
        }
        let mut aside = Aside::default();
        paragraphs(text, |paragraph| read_paragraph(paragraph, single, &mut aside, out));
        out.note(Note::DatabaseRead(PackageKind::Deb));
        if !aside.residual.is_empty() {
            out.note(Note::Residual(aside.residual));
        }
        if !aside.third_party.is_empty() {
            out.note(Note::ThirdParty(aside.third_party));
        }
        Ok(())
    }
}

/// Names to note beside the packages.
#[derive(Default)]
struct Aside {
    residual: Vec<String>,
    third_party: Vec<String>,
}

/// Other files sit in `status.d`, too, depending on the builder.
fn looks_like_control(text: &[u8]) -> bool {
    text.starts_with(b"Package:") || memchr::memmem::find(text, b"\nPackage:").is_some()
}

/// `md5  path` lines, which stand for the file list that distroless images lack.
fn owned_by_sums(text: &[u8], out: &mut Sink<'_>) {
    for line in text.split(|b| *b == b'\n') {
        if let Some(path) = line.get(34..).filter(|_| line.get(32..34) == Some(b"  ".as_slice())) {
            out.owned(path);
        }
    }
}

fn read_paragraph(paragraph: &Paragraph<'_>, single: bool, aside: &mut Aside, out: &mut Sink<'_>) {
    let Some(name) = paragraph.get("Package").filter(|name| !name.is_empty()) else {
        out.unknown("package", "an entry of the package database has no readable name");
        return;
    };
    match paragraph.get("Status") {
        None if single => {}
        None => out.unknown("package", format!("`{name}` has no Status; taken as installed")),
        // want, flag, state (dpkg(1), "Package states")
        Some(status) => match status.split_whitespace().nth(2) {
            Some("installed" | "unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending") => {}
            Some("half-installed") => {
                out.unknown("package", format!("`{name}` is half installed; counted, but its files may be incomplete"));
            }
            Some("not-installed" | "config-files") => {
                aside.residual.push(name.to_owned());
                return;
            }
            _ => out.unknown("package", format!("`{name}` has the strange status `{status}`; taken as installed")),
        },
    }
    let version = paragraph.get("Version").unwrap_or_default();
    if version.is_empty() {
        out.unknown("package", format!("`{name}` has no readable version"));
    }
    if is_third_party(paragraph.get("Maintainer").unwrap_or_default(), version) {
        aside.third_party.push(name.to_owned());
    }
    let mut package = Package::new(PackageKind::Deb, name, version);
    package.arch = paragraph.get("Architecture").map(str::to_owned);
    package.source = Some(source(name, version, paragraph.get("Source")));
    package.depends = paragraph.get("Depends").map(relation_names).unwrap_or_default();
    package.vendor = paragraph.get("Origin").map(str::to_owned);
    out.package(package);
}

/// Maintainers' addresses of the distributions themselves.
const DISTRIBUTIONS: &[&str] = &[
    "debian.org",
    "debian.net",
    "ubuntu.com",
    "canonical.com",
    "kali.org",
    "raspberrypi.com",
    "raspbian.org",
    "devuan.org",
    "linuxmint.com",
];
/// Vendors that publish packages of their own for Debian and Ubuntu.
const VENDORS: &[&str] = &[
    "nodesource.com",
    "docker.com",
    "containerd.io",
    "adoptium.net",
    "eclipse.org",
    "google.com",
    "chromium.org",
    "microsoft.com",
    "gitlab.com",
    "grafana.com",
    "elastic.co",
    "hashicorp.com",
    "mongodb.com",
    "oracle.com",
    "nginx.com",
    "nginx.org",
    "github.com",
    "cloudflare.com",
    "datadoghq.com",
    "percona.com",
    "mariadb.org",
    "mariadb.com",
    "yarnpkg.com",
    "influxdata.com",
    "azul.com",
    "amazon.com",
    "amazonaws.com",
    "postgresql.org",
    "redis.com",
    "redis.io",
    "nvidia.com",
    "confluent.io",
    "sury.org",
    "kubernetes.io",
];
/// Words that distributions themselves put into the revision of a version.
const REVISION_WORDS: &[&str] = &[
    "b", "deb", "u", "ubuntu", "bpo", "build", "nmu", "dfsg", "ds", "rpi", "rpt", "kali", "esm", "really", "rc", "git",
    "beta", "alpha", "pre", "p", "a", "r", "svn", "lts", "m", "d", "e", "x", "repack", "stable", "exp", "willsync",
    "maysync", "fakesync",
];

/// Whether a package comes from another place than the distribution, whose advisories then do not cover what is in
/// it. Debian's own maintainers may have any address, so for unknown ones the form of the version decides.
fn is_third_party(maintainer: &str, version: &str) -> bool {
    let domain = maintainer.rsplit('@').next().unwrap_or_default().trim_end_matches(['>', ' ']);
    let within = |list: &[&str]| {
        list.iter().any(|d| domain == *d || domain.strip_suffix(d).is_some_and(|rest| rest.ends_with('.')))
    };
    if within(DISTRIBUTIONS) || domain.is_empty() {
        return false;
    }
    let Some((_, revision)) = version.rsplit_once('-') else { return within(VENDORS) };
    let mut words = revision.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty());
    within(VENDORS) || words.any(|word| !REVISION_WORDS.contains(&word))
}

/// `Source: name (version)`; both parts default to the binary package's.
fn source(name: &str, version: &str, field: Option<&str>) -> SourcePackage {
    let (source, rest) = match field {
        Some(field) => field.split_once(char::is_whitespace).unwrap_or((field, "")),
        None => (name, ""),
    };
    let explicit = rest.trim().strip_prefix('(').and_then(|rest| rest.split(')').next()).map(str::trim);
    SourcePackage {
        name: if source.is_empty() { name } else { source }.to_owned(),
        version: explicit.filter(|v| !v.is_empty()).unwrap_or(version).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    const STATUS: &str = "Package: libssl3\nStatus: install ok installed\nPriority: optional\nArchitecture: amd64\n\
Multi-Arch: same\nSource: openssl\nVersion: 3.0.11-1~deb12u2\nDepends: libc6 (>= 2.34)\nDescription: x\n long\n .\n text\n\n\
Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
Package: libgcc-s1\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12 (12.2.0-14)\nVersion: 12.2.0-14+b1\n\n\
Package: half\nStatus: install reinstreq half-installed\nVersion: 2:1\n";

    #[test]
    fn sources_states_and_epochs() {
        let facts = read(&Dpkg, "var/lib/dpkg/status", STATUS.as_bytes());
        assert_eq!(packages(&facts), ["libssl3 3.0.11-1~deb12u2", "libgcc-s1 12.2.0-14+b1", "half 2:1"]);
        let source = |i: usize| facts.packages[i].source.clone().unwrap();
        assert_eq!((source(0).name.as_str(), source(0).version.as_str()), ("openssl", "3.0.11-1~deb12u2"));
        assert_eq!((source(1).name.as_str(), source(1).version.as_str()), ("gcc-12", "12.2.0-14"));
        assert_eq!(source(2).name, "half");
        assert_eq!(facts.packages[0].depends, ["libc6"]);
        assert!(facts.notes.contains(&Note::Residual(vec!["gone".into()])));
        assert_eq!(facts.unknown.len(), 1, "{:?}", facts.unknown);
    }

    #[test]
    fn distroless_entries_and_their_sums() {
        let facts = read(
            &Dpkg,
            "var/lib/dpkg/status.d/base-files",
            b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n",
        );
        assert_eq!(packages(&facts), ["base-files 12.4"]);
        let sums = b"d41d8cd98f00b204e9800998ecf8427e  etc/debian_version\n";
        let facts = read(&Dpkg, "var/lib/dpkg/status.d/base-files.md5sums", sums);
        assert_eq!(facts.owned, [crate::pathhash::owner(b"/etc/debian_version")]);
    }

    #[test]
    fn packages_from_elsewhere() {
        for (maintainer, version, foreign) in [
            ("Ivan <ivan@nodesource.com>", "18.20.8-1nodesource1", true),
            ("Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>", "3.0.11-1~deb12u2", false),
            ("Some One <me@example.org>", "1.2-3+deb12u1+b1", false),
            ("Some One <me@example.org>", "1.2-3~acme1", true),
            ("Docker <support@docker.com>", "5:24.0.7-1~debian.12~bookworm", true),
            ("Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>", "1.2-0ubuntu3.1", false),
            ("", "1", false),
        ] {
            assert_eq!(is_third_party(maintainer, version), foreign, "{maintainer} {version}");
        }
    }

    #[test]
    fn damage_is_told() {
        let facts = read(
            &Dpkg,
            "var/lib/dpkg/status",
            b"Status: install ok installed\nVersion: 1\n\nPackage: a\nStatus: install ok installed\n",
        );
        assert_eq!(packages(&facts), ["a "]);
        assert_eq!(facts.unknown.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) { let _ = read(&Dpkg, "var/lib/dpkg/status", &bytes); }
    }
}
