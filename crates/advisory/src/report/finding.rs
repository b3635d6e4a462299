//! A finding: a vulnerability of a package.
//!
//! A report can have hundreds of thousands of them, so they hold what they have in common only once: what the
//! advisories say ([`Facts`]) and where the package is. Written out they are one flat object each.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stockade_inventory::PackageKind;

use crate::matching::{Advisory, Epss, Exploited, Facts, Status};
use crate::severity::{Cvss, Severity};

/// A vulnerability of a package. What the advisories say of it is read as if it were here (`finding.id`,
/// `finding.severity` …): see [`Facts`].
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What the advisories say, shared by all packages of which they say the same.
    pub facts: Arc<Facts>,
    /// The package.
    pub package: Arc<FindingPackage>,
    /// The file that lists it.
    pub path: Arc<str>,
    /// `sha256:…` of the uncompressed layer that brought it.
    pub layer: Option<Arc<str>>,
    /// The Dockerfile instruction that made the layer.
    pub instruction: Option<Arc<str>>,
    /// Whether it is affected.
    pub status: Status,
    /// Versions that fix it, nearest first. Empty: none is known.
    pub fixed: Arc<[String]>,
    /// A statement that changed the status, and by whom.
    pub vex: Option<Box<Statement>>,
    /// The person chose to ignore it, with the reason.
    pub ignored: Option<Box<Statement>>,
    /// The distribution's handling: `postponed`, `no-advisory`, `end-of-life` …
    pub note: Option<Arc<str>>,
    /// Parts of the package that must be in use for it to matter, where the source says.
    pub imports: Vec<String>,
    /// Whether the Go program holds code of one of these parts. A fact, no verdict: a finding is never hidden for it.
    pub linked: Option<bool>,
    /// Whether the Go program holds one of the functions that the source names. A fact, no verdict.
    pub symbols_linked: Option<bool>,
    /// Whether a file of the package is among those that the image's entry point loads at its start. A fact, no verdict.
    pub in_entry_point: Option<bool>,
    /// The advisories that say so, each with the comparison that decided.
    pub advisories: Vec<Advisory>,
}

/// The package of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingPackage {
    /// Name.
    pub name: String,
    /// Installed version.
    pub version: String,
    /// Package URL.
    pub purl: String,
    /// The purl type.
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// The source package, for distributions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A statement about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Who or what says it: a file's name.
    pub by: String,
    /// `not_affected`, `fixed`, `under_investigation`, `ignored` …
    pub status: String,
    /// Why.
    pub reason: String,
    /// Last day on which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl Deref for Finding {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl Finding {
    /// Whether it counts: it is not ruled out by a statement, and not ignored.
    pub fn counts(&self) -> bool {
        self.status != Status::NotAffected && self.ignored.is_none()
    }

    /// Whether a version that fixes it is known.
    pub fn is_fixable(&self) -> bool {
        !self.fixed.is_empty()
    }

    /// Whether it goes by this id, in any spelling of case.
    pub fn has_id(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id) || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(id))
    }

    /// The component that an upgrade would be of: the source package of a distribution, else the package.
    pub fn component(&self) -> &str {
        self.package.source.as_deref().unwrap_or(&self.package.name)
    }
}

/// A finding as it is written: the shape of the schema.
#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    aliases: &'a [String],
    package: &'a FindingPackage,
    path: &'a str,
    layer: Option<&'a str>,
    instruction: Option<&'a str>,
    status: Status,
    severity: Severity,
    #[serde(skip_serializing_if = "str::is_empty")]
    severity_source: &'a str,
    cvss: &'a [Cvss],
    fixed: &'a [String],
    known_exploited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exploited: Option<&'a Exploited>,
    epss: Option<Epss>,
    vex: Option<&'a Statement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<&'a Statement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    informational: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    imports: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    linked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbols_linked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_entry_point: Option<bool>,
    advisories: &'a [Advisory],
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    references: &'a [String],
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            id: &self.id,
            aliases: &self.aliases,
            package: &self.package,
            path: &self.path,
            layer: self.layer.as_deref(),
            instruction: self.instruction.as_deref(),
            status: self.status,
            severity: self.severity,
            severity_source: &self.severity_source,
            cvss: &self.cvss,
            fixed: &self.fixed,
            known_exploited: self.known_exploited(),
            exploited: self.exploited.as_ref(),
            epss: self.epss,
            vex: self.vex.as_deref(),
            ignored: self.ignored.as_deref(),
            note: self.note.as_deref(),
            informational: self.informational.as_deref(),
            imports: &self.imports,
            linked: self.linked,
            symbols_linked: self.symbols_linked,
            in_entry_point: self.in_entry_point,
            advisories: &self.advisories,
            published: self.published.as_deref(),
            references: &self.references,
        }
        .serialize(serializer)
    }
}

/// A finding as it is read back.
#[derive(Deserialize)]
struct Read {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    package: FindingPackage,
    #[serde(default)]
    path: String,
    layer: Option<String>,
    instruction: Option<String>,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    severity_source: String,
    #[serde(default)]
    cvss: Vec<Cvss>,
    #[serde(default)]
    fixed: Vec<String>,
    #[serde(default)]
    known_exploited: bool,
    exploited: Option<Exploited>,
    epss: Option<Epss>,
    vex: Option<Box<Statement>>,
    ignored: Option<Box<Statement>>,
    note: Option<String>,
    informational: Option<String>,
    #[serde(default)]
    imports: Vec<String>,
    linked: Option<bool>,
    symbols_linked: Option<bool>,
    in_entry_point: Option<bool>,
    #[serde(default)]
    advisories: Vec<Advisory>,
    published: Option<String>,
    #[serde(default)]
    references: Vec<String>,
}

impl<'de> Deserialize<'de> for Finding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        // A listing without details (of an older program) still is a listing.
        let listed = read.known_exploited.then(Exploited::default);
        Ok(Finding {
            facts: Arc::new(Facts {
                id: read.id,
                aliases: read.aliases,
                severity: read.severity,
                severity_source: read.severity_source,
                cvss: read.cvss,
                exploited: read.exploited.or(listed),
                epss: read.epss,
                informational: read.informational.map(Into::into),
                published: read.published,
                references: read.references,
            }),
            package: Arc::new(read.package),
            path: read.path.into(),
            layer: read.layer.map(Into::into),
            instruction: read.instruction.map(Into::into),
            status: read.status,
            fixed: read.fixed.into(),
            vex: read.vex,
            ignored: read.ignored,
            note: read.note.map(Into::into),
            imports: read.imports,
            linked: read.linked,
            symbols_linked: read.symbols_linked,
            in_entry_point: read.in_entry_point,
            advisories: read.advisories,
        })
    }
}
