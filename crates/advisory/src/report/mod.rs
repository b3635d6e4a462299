//! The report of a scan: one serialisable value (`stockade.scan/v1`, `docs/schemas/scan-v1.json`). Text, JSON and all
//! other formats are views of it.

mod assemble;
mod drift;
mod finding;
pub mod views;

use crate::matching::{CoverageUsed, coverage};
use crate::severity::Severity;
use serde::{Deserialize, Serialize};
use stockade_inventory::{PackageKind, SourcePackage, Unknown};

pub use assemble::{LayerOrigin, assemble};
pub use drift::{Drift, FileChange, FileDrift, PackageDrift};
pub use finding::{Finding, FindingPackage, Statement};

/// Name and version of the report's shape.
pub const SCHEMA: &str = "stockade.scan/v1";

/// The report of one scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanReport {
    /// [`SCHEMA`].
    pub schema: String,
    /// What was scanned.
    pub target: Target,
    /// What scanned it.
    pub scanner: Scanner,
    /// The facts that were used.
    pub database: DatabaseUsed,
    /// What is in it.
    pub packages: Vec<PackageEntry>,
    /// Vulnerabilities, worst first.
    pub findings: Vec<Finding>,
    /// What could not be read or decided. While this is not empty, no findings are no promise.
    pub unknown: Vec<Unknown>,
    /// Credentials left in files, environment and history; only when they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretEntry>,
    /// What is weak in the configuration and in modes of files; only when it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weaknesses: Vec<WeaknessEntry>,
    /// The image that this one is built on, where the store has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseImage>,
    /// What a container changed of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What is known now that an earlier scan of the same image did not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub news: Option<News>,
    /// Remarks: what was left out on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The image that another one is built on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseImage {
    /// A name of it.
    pub name: String,
    /// `sha256:…` of its uncompressed layers, lowest first.
    pub layers: Vec<String>,
}

/// What newer facts brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Day of the database that the earlier scan used.
    pub since: String,
    /// Vulnerabilities that are new, each with the component that has it.
    pub added: Vec<NewsItem>,
    /// Those that are gone: withdrawn, or found not to matter.
    pub gone: Vec<NewsItem>,
}

/// A vulnerability of a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NewsItem {
    /// Id.
    pub id: String,
    /// The source package of a distribution, else the package.
    pub component: String,
}

impl News {
    /// Compares two reports of the same thing.
    pub fn between(earlier: &ScanReport, now: &ScanReport) -> News {
        let items = |report: &ScanReport| -> std::collections::BTreeSet<NewsItem> {
            let found = report.findings.iter();
            found.map(|f| NewsItem { id: f.id.clone(), component: f.component().to_owned() }).collect()
        };
        let (old, new) = (items(earlier), items(now));
        News {
            since: earlier.database.built.clone(),
            added: new.difference(&old).cloned().collect(),
            gone: old.difference(&new).cloned().collect(),
        }
    }
}

/// What was scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// As the person named it.
    pub name: String,
    /// `image`, `dir`, `archive`, `sbom`, `fs` …
    pub kind: String,
    /// The image's id, where there is one.
    pub digest: Option<String>,
    /// The distribution, where one was recognised.
    pub os: Option<TargetOs>,
}

/// The distribution of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetOs {
    /// `debian`, `alpine` …
    pub id: String,
    /// `12`, `3.20.1` …
    pub version: String,
    /// What it calls itself.
    pub name: String,
    /// Last day of the vendor's free security support, `YYYY-MM-DD`.
    pub eol: Option<String>,
}

/// What scanned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanner {
    /// `stockade`
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The database that was used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseUsed {
    /// Day of its newest fact or last update, `YYYY-MM-DD`.
    pub built: String,
    /// Name of its content.
    pub digest: String,
    /// All sources in it.
    pub sources: Vec<SourceUsed>,
    /// What was used of it.
    #[serde(default)]
    pub coverage: Vec<CoverageUsed>,
}

/// A source of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceUsed {
    /// Short name.
    pub name: String,
    /// Number of its records.
    pub records: u32,
    /// Day of the snapshot.
    pub as_of: String,
}

/// A package of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageEntry {
    /// Name as its ecosystem writes it.
    pub name: String,
    /// Installed version; empty when not known.
    pub version: String,
    /// The purl type.
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// The package URL.
    pub purl: String,
    /// The file that lists it.
    pub path: String,
    /// `sha256:…` of the uncompressed layer that brought it.
    pub layer: Option<String>,
    /// The Dockerfile instruction that made the layer.
    pub instruction: Option<String>,
    /// The source package.
    pub source: Option<SourcePackage>,
    /// Licences as it states them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// How it was found, by the analyser's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found_by: String,
    /// Packages it needs, by name, where its metadata says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<String>,
}

/// A credential that was left behind. The secret itself is not in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretEntry {
    /// The file; `ENV NAME` or `history N` for those of an image's configuration.
    pub path: String,
    /// The rule that saw it.
    pub rule: String,
    /// What it is, in words.
    pub title: String,
    /// 1-based line; 0 where there are no lines.
    pub line: u32,
    /// The first characters, and how long it is.
    pub hint: String,
    /// `sha256:…` of the uncompressed layer that has it.
    pub layer: Option<String>,
    /// The Dockerfile instruction that made the layer.
    pub instruction: Option<String>,
    /// An upper layer deletes or replaces the file, but everyone who pulls the image still gets it.
    pub deleted: bool,
}

/// Something weak in a configuration, or in a file's mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeaknessEntry {
    /// The check.
    pub id: String,
    /// The file; empty for the configuration.
    pub path: String,
    /// What was seen.
    pub evidence: String,
    /// How bad it is.
    pub severity: Severity,
    /// What to do about it.
    pub fix: String,
    /// `sha256:…` of the uncompressed layer that has the file.
    pub layer: Option<String>,
    /// The Dockerfile instruction that made the layer.
    pub instruction: Option<String>,
}

impl ScanReport {
    /// Adds what must be said about the age of the facts today; replaces what was said on an earlier day.
    pub fn say_age(&mut self, today: jiff::civil::Date) {
        self.unknown.retain(|u| u.what != "age");
        self.unknown.extend(coverage::age(&self.database.coverage, today));
    }

    /// Findings that count: affected or unknown, and not ignored.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.counts())
    }
}

impl PackageEntry {
    /// The source package's name, else the package's own.
    pub fn component(&self) -> &str {
        self.source.as_ref().map_or(self.name.as_str(), |s| s.name.as_str())
    }
}
