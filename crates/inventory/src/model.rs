//! What a scan of packages returns: the public data of this room.
//!
//! Everything here is plain data that serialises; it judges nothing. Paths are relative to the scanned root,
//! without a leading slash, with bytes that are not UTF-8 replaced.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::analyzers::go_linked::GoProgram;
use crate::image_checks::Weakness;
use crate::ownership::Ownership;
use crate::secrets::Secret;

/// The operating system, the packages and what could not be read of one image, root directory, source tree or SBOM.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The operating system, when one was recognised. `None` always comes with an entry in `unknown`, except for
    /// source trees and single files, which have none.
    pub os: Option<OsInfo>,
    /// Packages, sorted by kind, name, version and path.
    pub packages: Vec<Package>,
    /// What was there and could not be read or decided. Never empty by accident: silence means all was read.
    pub unknown: Vec<Unknown>,
    /// The layers that were read, lowest first; empty for a directory or a file.
    #[serde(default)]
    pub layers: Vec<LayerInfo>,
    /// By the path of a Go program: which packages and functions it holds code of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub go_linked: BTreeMap<String, GoProgram>,
    /// Whose the files are that belong to packages of the distribution.
    #[serde(skip)]
    pub ownership: Ownership,
    /// The files that the entry point loads at its start, for images whose files were at hand; see
    /// [`crate::entry_files`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_files: Option<Vec<String>>,
    /// Credentials left in files, when `Options::secrets` asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Weak files, when `Options::checks` asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weaknesses: Vec<Weakness>,
}

/// One image layer, as the inventory saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// `sha256:…` of the uncompressed tar.
    pub diff_id: String,
    /// Entries read (files, directories, links and whiteouts).
    pub entries: u64,
    /// Bytes of file contents in the layer.
    pub bytes: u64,
}

/// An operating system release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsInfo {
    /// `ID` of os-release in lower case: `debian`, `ubuntu`, `alpine`, `rhel`, `amzn` …
    pub id: String,
    /// `VERSION_ID`: `12`, `24.04`, `3.20.1`; empty for rolling releases and when unknown.
    pub version_id: String,
    /// `bookworm`, `noble` …
    pub codename: Option<String>,
    /// `PRETTY_NAME`, or what stands for it.
    pub pretty: String,
    /// `ID_LIKE`, nearest relative first.
    #[serde(default)]
    pub like: Vec<String>,
    /// For a derivative: the distribution release that its packages come from, when that is a fact (for example
    /// Linux Mint's `UBUNTU_CODENAME`). Use it for advisories when the derivative has none of its own.
    #[serde(default)]
    pub base: Option<OsBase>,
    /// Last day of the vendor's free security support, when known.
    pub eol: Option<jiff::civil::Date>,
    /// The file that said so.
    #[serde(default)]
    pub path: String,
}

/// The release a derivative distribution is built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsBase {
    /// `debian`, `ubuntu`, `rhel` …
    pub id: String,
    /// Its release number (`22.04`, `9`); empty when only the name is known.
    pub version_id: String,
    /// Its code name.
    pub codename: Option<String>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Name as its ecosystem writes it: `@scope/name`, `group:artifact`, `vendor/name`, a Go module path …
    pub name: String,
    /// Full version, with epoch and release where the ecosystem has them; empty when the file does not say.
    pub version: String,
    /// The ecosystem.
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// `amd64`, `x86_64`, `noarch` … where the package manager says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The package URL, by the purl specification.
    pub purl: String,
    /// The file that lists the package, relative to the root.
    pub path: String,
    /// Index into `Inventory::layers` of the layer that brought this version; `None` outside images.
    #[serde(default)]
    pub layer: Option<usize>,
    /// The source package this was built from, for ecosystems that have one. When set it is what distribution
    /// advisories name; when the source has the same name and version it is still set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// Licence names or SPDX expressions as the package states them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// The file belongs to a package of the distribution, whose advisories take precedence. Such packages are left
    /// out of an inventory unless `Options::keep_owned` asks for them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub owned_by_os: bool,
    /// Only needed for development or tests, where a lock file says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dev: bool,
    /// What kind of proof this entry rests on.
    #[serde(default)]
    pub evidence: Evidence,
    /// The analyser that found it (`dpkg`, `npm-lock`, `go-binary` …).
    #[serde(default)]
    pub found_by: String,
    /// Packages it needs, by name, where its metadata says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<String>,
    /// Distribution module or stream (`nodejs:18:…` of RHEL), repository or vendor, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
}

/// The source package of a binary package.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourcePackage {
    /// Its name (`openssl` for `libssl3`).
    pub name: String,
    /// Its full version.
    pub version: String,
}

/// Something that was there and could not be read or decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unknown {
    /// What is unknown: `os`, `package-list`, `file`, `archive`, `layer`, `limit` …
    pub what: String,
    /// Where, relative to the root; empty when it concerns the whole.
    pub path: String,
    /// Why, in words for people.
    pub why: String,
}

impl Inventory {
    /// For each package: whether one of its files is among those that the entry point loads at its start. `None` where
    /// that is not known: without an entry point, for packages whose files are not listed, and for those of languages
    /// that load by themselves.
    pub fn in_entry_point(&self) -> Vec<Option<bool>> {
        let Some(files) = &self.entry_files else { return vec![None; self.packages.len()] };
        let (owners, listed) = (self.ownership.owners_of(files), self.ownership.listed());
        let is_program = |p: &Package| {
            let file = p.path.split("!/").next().unwrap_or_default();
            let program = matches!(p.evidence, Evidence::BuildInfo | Evidence::VersionString);
            (program || file.ends_with(".jar")).then(|| files.iter().any(|f| f == file))
        };
        let answer = |p: &Package| match p.kind.is_os() {
            true => listed.contains(p.name.as_str()).then(|| owners.contains(p.name.as_str())),
            false => is_program(p),
        };
        self.packages.iter().map(answer).collect()
    }
}

impl Unknown {
    /// An entry about `path`.
    pub fn new(what: &str, path: &str, why: impl Into<String>) -> Self {
        Self { what: what.to_owned(), path: path.to_owned(), why: why.into() }
    }
}

/// What an entry of the inventory rests on, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The database of a package manager.
    #[default]
    Database,
    /// Metadata that an installed language package carries (dist-info, package.json in node_modules, jar).
    Metadata,
    /// Build information embedded in a binary by its toolchain.
    BuildInfo,
    /// A lock file: what would be installed.
    Lock,
    /// A manifest that pins a version without a resolver's word.
    Manifest,
    /// A version string found in a well-known binary at an anchored place. A strong hint, no proof.
    VersionString,
    /// An SBOM said so.
    Sbom,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $purl:literal,)*) => {
        /// The ecosystem of a package. Serialised as its purl type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum PackageKind { $($(#[$doc])* #[serde(rename = $purl)] $name,)* }

        impl PackageKind {
            /// Every kind.
            pub const ALL: &'static [PackageKind] = &[$(PackageKind::$name,)*];

            /// The purl type: `deb`, `npm`, `golang` …
            pub fn purl_type(self) -> &'static str {
                match self { $(PackageKind::$name => $purl,)* }
            }
        }
    };
}

kinds! {
    /// Debian and derivatives.
    Deb = "deb",
    /// Alpine, Wolfi, Chainguard.
    Apk = "apk",
    /// Red Hat, Fedora, SUSE, Amazon and relatives.
    Rpm = "rpm",
    /// Arch Linux.
    Alpm = "alpm",
    /// OpenWrt and embedded systems.
    Opkg = "opkg",
    /// Python.
    PyPi = "pypi",
    /// Node.js.
    Npm = "npm",
    /// Go modules; the toolchain itself is the package `stdlib`.
    Golang = "golang",
    /// Rust crates.
    Cargo = "cargo",
    /// Java and other JVM languages: `group:artifact`.
    Maven = "maven",
    /// RubyGems.
    Gem = "gem",
    /// PHP, from Packagist: `vendor/name`.
    Composer = "composer",
    /// .NET.
    Nuget = "nuget",
    /// Dart.
    Pub = "pub",
    /// Elixir and Erlang.
    Hex = "hex",
    /// Swift.
    Swift = "swift",
    /// R.
    Cran = "cran",
    /// Julia.
    Julia = "julia",
    /// Haskell.
    Hackage = "hackage",
    /// Perl.
    Cpan = "cpan",
    /// Conda packages.
    Conda = "conda",
    /// Apple's CocoaPods.
    Cocoapods = "cocoapods",
    /// C and C++ by Conan.
    Conan = "conan",
    /// Bitnami's builds.
    Bitnami = "bitnami",
    /// GitHub repositories and actions.
    Github = "github",
    /// Programs without a package manager.
    Generic = "generic",
    /// A purl type this version does not know; the purl holds it.
    Other = "other",
}

impl PackageKind {
    /// Whether packages of this kind come from the operating system's package manager.
    pub fn is_os(self) -> bool {
        matches!(self, Self::Deb | Self::Apk | Self::Rpm | Self::Alpm | Self::Opkg)
    }

    /// The kind with this purl type; unknown ones are `Other`.
    pub fn from_purl_type(name: &str) -> Self {
        Self::ALL.iter().copied().find(|kind| kind.purl_type() == name).unwrap_or(Self::Other)
    }
}

impl std::fmt::Display for PackageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.purl_type())
    }
}

impl Package {
    /// A package with nothing known but its name and version. The purl is filled in when the inventory is complete,
    /// because it can hold the distribution's name.
    pub fn new(kind: PackageKind, name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            kind,
            arch: None,
            purl: String::new(),
            path: String::new(),
            layer: None,
            source: None,
            licenses: Vec::new(),
            owned_by_os: false,
            dev: false,
            evidence: Evidence::default(),
            found_by: String::new(),
            depends: Vec::new(),
            vendor: None,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !*flag
}
