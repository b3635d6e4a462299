//! Matching: which vulnerabilities concern which packages of an inventory, and what cannot be said.

pub(crate) mod coverage;
mod group;
pub mod range;

use crate::database::Database;
use crate::ecosystem::{self, Release};
use crate::severity::{Cvss, Severity};
use crate::version::Order;
use range::Answer;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;
use stockade_advisory_db::import::oval::BINARY;
use stockade_advisory_db::names::normalise;
use stockade_advisory_db::reader::AffectedView;
use stockade_advisory_db::{DbError, Note, Reader};
use stockade_inventory::{Inventory, Package, PackageKind, Unknown};

pub use coverage::CoverageUsed;

/// How to match.
#[derive(Debug, Clone, Copy, Default)]
pub struct MatchOptions {
    /// Also report kernel vulnerabilities for packages that hold only the kernel's headers.
    pub kernel_headers: bool,
}

/// What matching found.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// One entry for each vulnerability and package.
    pub hits: Vec<Hit>,
    /// What could not be decided.
    pub unknown: Vec<Unknown>,
    /// Where the facts came from that were used.
    pub coverage: Vec<CoverageUsed>,
    /// Remarks that are no doubt: what was left out on purpose.
    pub notes: Vec<String>,
}

/// A vulnerability of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Index into the inventory's packages.
    pub package: usize,
    /// The vulnerability.
    pub vulnerability: Box<Vulnerability>,
}

/// Everything the database says about one vulnerability in one package. What does not depend on the package's version
/// is in [`Facts`], read as if it were here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vulnerability {
    /// What the advisories say of the vulnerability itself.
    pub facts: Arc<Facts>,
    /// Affected, or unknown where the source has not found out.
    pub status: Status,
    /// Versions that fix it, nearest first; empty when none is known.
    pub fixed: Arc<[String]>,
    /// The distribution's handling.
    pub note: Note,
    /// The advisories that say so.
    pub advisories: Vec<Advisory>,
    /// Parts of the package that must be in use for it to matter, where the source says.
    pub imports: Vec<String>,
    /// Whether the program holds code of one of these parts; `None` where that is not known.
    pub linked: Option<bool>,
    /// Whether the program holds one of the functions named; `None` where that is not known, or none is named.
    pub symbols_linked: Option<bool>,
    /// Whether the entry point loads a file of the package at its start; `None` where that is not known.
    pub in_entry_point: Option<bool>,
}

/// What a set of advisories says of one vulnerability, whatever version is installed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// The id that it goes by: the CVE where there is one, else the advisory's id.
    pub id: String,
    /// All other ids, sorted.
    pub aliases: Vec<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Who says so: a source's name, `CVSS 3.1`, or empty.
    pub severity_source: String,
    /// CVSS ratings, as published.
    pub cvss: Vec<Cvss>,
    /// In CISA's catalogue of exploited vulnerabilities.
    pub exploited: Option<Exploited>,
    /// FIRST's prediction: probability of exploitation and percentile, 0 to 1.
    pub epss: Option<Epss>,
    /// The advisory is about something other than a vulnerability: `unmaintained`, `unsound`, `malicious` …
    pub informational: Option<Cow<'static, str>>,
    /// First publication, `YYYY-MM-DD`.
    pub published: Option<String>,
    /// Addresses.
    pub references: Vec<String>,
}

impl Facts {
    /// Whether CISA lists it as exploited.
    pub fn known_exploited(&self) -> bool {
        self.exploited.is_some()
    }
}

impl Deref for Vulnerability {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

/// Whether a package is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The installed version lies in an affected range.
    #[default]
    Affected,
    /// It does not, or a statement says that it does not matter here.
    NotAffected,
    /// It cannot be said.
    Unknown,
}

/// From CISA's catalogue of known exploited vulnerabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exploited {
    /// Day of its listing, `YYYY-MM-DD`.
    pub added: Option<String>,
    /// Day by which United States agencies must act.
    pub due: Option<String>,
    /// Used in ransomware campaigns.
    pub ransomware: bool,
}

/// FIRST's exploit prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epss {
    /// Probability of exploitation within 30 days, 0 to 1.
    pub probability: f64,
    /// Share of vulnerabilities scored no higher, 0 to 1.
    pub percentile: f64,
}

/// An advisory that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// The publisher's id.
    #[serde(with = "text")]
    pub id: Arc<str>,
    /// Name of the source in the database.
    #[serde(with = "text")]
    pub source: Arc<str>,
    /// OSV's name of the ecosystem.
    #[serde(with = "text")]
    pub ecosystem: Arc<str>,
    /// The comparison that decided, in words: `3.0.9-1 < 3.0.15-1~deb12u1`.
    #[serde(with = "text")]
    pub why: Arc<str>,
}

/// Shared texts, written and read as plain ones.
mod text {
    use super::{Arc, Deserialize};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

/// Names a package's advisories go by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Query {
    ecosystem: String,
    name: String,
    version: String,
}

impl Database {
    /// Matches an inventory.
    /// # Errors
    /// When the database is damaged. What cannot be decided is no error, but part of the answer.
    pub fn match_inventory(&self, inventory: &Inventory, options: &MatchOptions) -> Result<Matches, DbError> {
        let reader = self.reader()?;
        let mut matcher = Matcher {
            reader,
            shared_facts: group::Shared::new(reader)?,
            options: *options,
            answered: HashMap::new(),
            shared: HashSet::new(),
            matches: Matches::default(),
            use_of: coverage::Tally::new(reader)?,
            headers: 0,
        };
        matcher.run(inventory)?;
        Ok(matcher.matches)
    }
}

struct Matcher<'d> {
    reader: Reader<'d>,
    shared_facts: group::Shared<'d>,
    options: MatchOptions,
    /// Packages from one source package have one answer.
    answered: HashMap<Query, Answered>,
    /// What more than one package asks.
    shared: HashSet<Query>,
    matches: Matches,
    use_of: coverage::Tally<'d>,
    headers: usize,
}

#[derive(Debug, Clone, Default)]
struct Answered {
    vulnerabilities: Vec<Vulnerability>,
    unreadable: Option<String>,
}

impl<'d> Matcher<'d> {
    fn run(&mut self, inventory: &Inventory) -> Result<(), DbError> {
        let known = self.reader.ecosystems()?;
        let release = inventory.os.as_ref().map(|os| ecosystem::release(os, &known));
        let os_packages = inventory.packages.iter().filter(|p| p.kind.is_os()).count();
        match &release {
            Some(Err(why)) if os_packages > 0 => {
                let why = format!("{os_packages} packages of the distribution were not matched: {why}");
                self.matches.unknown.push(Unknown::new("coverage", "", why));
            }
            None if os_packages > 0 => {
                let why =
                    format!("{os_packages} packages of a distribution were not matched: it is not known which one");
                self.matches.unknown.push(Unknown::new("os", "", why));
            }
            Some(Ok(Release { caution: Some(caution), .. })) if os_packages > 0 => {
                self.matches.unknown.push(Unknown::new("coverage", "", caution.clone()));
            }
            _ => {}
        }
        let release = release.and_then(Result::ok);
        self.shared = shared(inventory, release.as_ref());
        for (index, package) in inventory.packages.iter().enumerate() {
            self.package(index, inventory, package, release.as_ref())?;
        }
        if inventory.entry_files.is_some() {
            let answers = inventory.in_entry_point();
            for hit in &mut self.matches.hits {
                hit.vulnerability.in_entry_point = answers.get(hit.package).copied().flatten();
            }
        }
        if self.headers > 0 {
            self.matches.notes.push(format!(
                "{} vulnerabilities of the Linux kernel were left out: only its headers are installed, a container runs the host's kernel (`--kernel-headers` lists them)",
                self.headers
            ));
        }
        let (coverage, unknown) = std::mem::replace(&mut self.use_of, coverage::Tally::empty()).finish();
        self.matches.coverage = coverage;
        self.matches.unknown.extend(unknown);
        self.matches.unknown.sort();
        self.matches.unknown.dedup();
        Ok(())
    }

    fn package(
        &mut self,
        index: usize,
        inventory: &Inventory,
        package: &Package,
        release: Option<&Release>,
    ) -> Result<(), DbError> {
        if package.owned_by_os {
            return Ok(());
        }
        if !package.kind.is_os() && ecosystem::of_language(package.kind).is_none() {
            self.use_of.uncovered(package.kind.purl_type());
            return Ok(());
        }
        let queries = queries(package, release);
        let mut found: Vec<Box<Vulnerability>> = Vec::new();
        for query in queries {
            self.use_of.used(&query.ecosystem);
            let answer = match self.answered.get(&query) {
                Some(known) => known.clone(),
                None => {
                    let answer = self.ask(&query)?;
                    // What nobody else asks is not kept: with many findings the copies would be most of the memory.
                    if self.shared.contains(&query) {
                        self.answered.insert(query.clone(), answer.clone());
                    }
                    answer
                }
            };
            if let Some(why) = &answer.unreadable {
                self.matches.unknown.push(Unknown::new(
                    "version",
                    &package.path,
                    format!("{} {}: {why}", package.kind, package.name),
                ));
            }
            let known = found.len();
            for mut vulnerability in answer.vulnerabilities {
                // One answer names a vulnerability once: only earlier answers can have it.
                if !found.iter().take(known).any(|f| f.id == vulnerability.id) {
                    (vulnerability.linked, vulnerability.symbols_linked) =
                        linked(package, &vulnerability.imports, inventory);
                    found.push(Box::new(vulnerability));
                }
            }
        }
        if is_kernel_headers(package) && !self.options.kernel_headers {
            self.headers += found.len();
            return Ok(());
        }
        self.matches.hits.extend(found.into_iter().map(|vulnerability| Hit { package: index, vulnerability }));
        Ok(())
    }

    /// Everything known about one name and version in one ecosystem.
    fn ask(&mut self, query: &Query) -> Result<Answered, DbError> {
        let entries: Vec<AffectedView<'d>> = self.reader.package(&query.ecosystem, &query.name)?;
        let order = Order::of_ecosystem(&query.ecosystem);
        let mut answered = Answered::default();
        if entries.is_empty() {
            return Ok(answered);
        }
        if query.version.is_empty() {
            answered.unreadable = Some("its version is not known".to_owned());
            return Ok(answered);
        }
        if let Some(Err(e)) = order.map(|o| o.check(&query.version)) {
            answered.unreadable = Some(format!("{e}, so {} advisories could not be compared", entries.len()));
        }
        let mut collected = group::Collector::new(&mut self.shared_facts, query, order);
        for entry in &entries {
            if entry.not_linux() || entry.note() == Note::NotAffected {
                continue;
            }
            match range::evaluate(order, &query.version, entry)? {
                Answer::Outside => {}
                Answer::Inside(fixed) => collected.add(entry, fixed, Status::Affected)?,
                // One unreadable installed version is said once, not for each advisory.
                Answer::Undecided(_) if answered.unreadable.is_some() => {}
                Answer::Undecided(_) => collected.add(entry, Vec::new(), Status::Unknown)?,
            }
        }
        answered.vulnerabilities = collected.finish()?;
        Ok(answered)
    }
}

/// Whether the Go program that a module was found in holds code of one of the packages named (`PATH` or
/// `PATH#SYMBOL,…`), and whether it holds one of the functions named.
fn linked(package: &Package, imports: &[String], inventory: &Inventory) -> (Option<bool>, Option<bool>) {
    if package.kind != PackageKind::Golang || imports.is_empty() {
        return (None, None);
    }
    let Some(program) = inventory.go_linked.get(&package.path) else { return (None, None) };
    let parts = || imports.iter().map(|i| i.split_once('#').map_or((i.as_str(), None), |(p, s)| (p, Some(s))));
    let code = parts().any(|(path, _)| program.holds_package(path));
    let named = parts().any(|(_, symbols)| symbols.is_some());
    let function = parts().any(|(path, symbols)| match symbols {
        Some(symbols) => symbols.split(',').any(|symbol| program.holds_function(path, symbol)),
        None => program.holds_package(path),
    });
    (Some(code), (named && program.knows_functions()).then_some(function))
}

/// What to ask about a package. Nothing, for a package of a distribution that is not known.
fn queries(package: &Package, release: Option<&Release>) -> Vec<Query> {
    if package.kind.is_os() {
        return release.map_or_else(Vec::new, |release| os_queries(package, release));
    }
    let Some(ecosystem) = ecosystem::of_language(package.kind) else { return Vec::new() };
    vec![Query {
        ecosystem: ecosystem.to_owned(),
        name: normalise(ecosystem, &package.name).into_owned(),
        version: package.version.clone(),
    }]
}

/// What more than one package asks: packages from one source, the same module in several programs.
fn shared(inventory: &Inventory, release: Option<&Release>) -> HashSet<Query> {
    let mut once: HashSet<Query> = HashSet::new();
    let mut more = HashSet::new();
    for query in inventory.packages.iter().filter(|p| !p.owned_by_os).flat_map(|p| queries(p, release)) {
        if once.contains(&query) {
            more.insert(query);
        } else {
            once.insert(query);
        }
    }
    more
}

/// Where to look for the advisories of a distribution's package: by source package where advisories name those.
fn os_queries(package: &Package, release: &Release) -> Vec<Query> {
    let own = (package.name.as_str(), package.version.as_str());
    let source = package.source.as_ref().map_or(own, |s| (s.name.as_str(), s.version.as_str()));
    // Signed kernels are built from a source package of their own, with its own versions; advisories name the kernel's.
    let source = if source.0.starts_with("linux-signed-") { ("linux", own.1) } else { source };
    let names = match package.kind {
        PackageKind::Deb | PackageKind::Apk => vec![source],
        // Red Hat and AlmaLinux name binary packages, Rocky and SUSE source packages; their versions agree.
        PackageKind::Rpm if source.0 != own.0 => vec![own, (source.0, own.1)],
        _ => vec![own],
    };
    let mut out = Vec::new();
    for ecosystem in &release.ecosystems {
        if ecosystem::order_of(package.kind) != Order::of_ecosystem(ecosystem) {
            continue;
        }
        let names = if ecosystem.ends_with(BINARY) { std::slice::from_ref(&own) } else { &names[..] };
        for (name, version) in names {
            out.push(Query { ecosystem: ecosystem.clone(), name: (*name).to_owned(), version: (*version).to_owned() });
        }
    }
    out
}

/// Packages built from the kernel's source that hold no kernel.
fn is_kernel_headers(package: &Package) -> bool {
    let source = package.source.as_ref().map_or("", |s| s.name.as_str());
    let of_kernel = matches!(package.kind, PackageKind::Deb | PackageKind::Rpm | PackageKind::Apk)
        && (source == "linux" || source.starts_with("linux-") || source.starts_with("kernel"));
    let name = package.name.as_str();
    let headers = [
        "linux-libc-dev",
        "linux-headers",
        "linux-kbuild",
        "linux-compiler",
        "linux-doc",
        "linux-perf",
        "kernel-headers",
        "kernel-devel",
    ];
    of_kernel && headers.iter().any(|h| name.starts_with(h))
}
