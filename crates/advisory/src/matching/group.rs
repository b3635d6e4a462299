//! Many advisories, one vulnerability: merges what several sources say about one package into one finding per
//! vulnerability.

use super::{Advisory, Epss, Exploited, Facts, Query, Status, Vulnerability};
use crate::severity::{Cvss, Severity};
use crate::version::Order;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use stockade_advisory_db::model::show_day;
use stockade_advisory_db::names::{canonical_url, cve_number, embedded_cve};
use stockade_advisory_db::reader::{AffectedView, RecordIndex, RecordView};
use stockade_advisory_db::{DbError, Informational, Label, Note, Reader};

/// Most addresses shown for a finding.
const MAX_REFERENCES: usize = 4;

/// What is the same for many packages, made once: an advisory can name thousands of them.
pub(super) struct Shared<'d> {
    reader: Reader<'d>,
    sources: Vec<Arc<str>>,
    facts: HashMap<Basis<'d>, Arc<Facts>>,
    texts: HashMap<String, Arc<str>>,
    fixes: HashMap<Vec<String>, Arc<[String]>>,
}

/// All that [`Facts`] depend on: the ids that mean one vulnerability, and of each advisory its number, its severity for
/// the package, and whether it calls the vulnerability unimportant there.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Basis<'d> {
    ids: Vec<&'d str>,
    claims: Vec<(RecordIndex, Label, bool, Option<&'d str>)>,
}

impl<'d> Shared<'d> {
    pub(super) fn new(reader: Reader<'d>) -> Result<Self, DbError> {
        let sources = reader.sources()?.into_iter().map(|s| s.source.name.into()).collect();
        Ok(Shared { reader, sources, facts: HashMap::new(), texts: HashMap::new(), fixes: HashMap::new() })
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(text.to_owned(), shared.clone());
        shared
    }

    fn fixed(&mut self, versions: Vec<String>) -> Arc<[String]> {
        if let Some(known) = self.fixes.get(&versions) {
            return known.clone();
        }
        let shared: Arc<[String]> = versions.clone().into();
        self.fixes.insert(versions, shared.clone());
        shared
    }

    fn source(&self, number: u32) -> Arc<str> {
        self.sources.get(number as usize).cloned().unwrap_or_else(|| "".into())
    }
}

/// Collects the advisories that concern one version of one package.
pub(super) struct Collector<'m, 'd> {
    shared: &'m mut Shared<'d>,
    query: &'m Query,
    order: Option<Order>,
    claims: Vec<Claim<'d>>,
}

/// What one advisory says about the package.
struct Claim<'d> {
    index: RecordIndex,
    record: RecordView<'d>,
    entry: AffectedView<'d>,
    fixed: Vec<String>,
    status: Status,
    /// Ids that mean the same vulnerability.
    same: Vec<&'d str>,
    /// An id that is worth showing, but means several vulnerabilities (a DSA).
    bundle: Option<&'d str>,
}

impl<'m, 'd> Collector<'m, 'd> {
    pub(super) fn new(shared: &'m mut Shared<'d>, query: &'m Query, order: Option<Order>) -> Self {
        Collector { shared, query, order, claims: Vec::new() }
    }

    /// Adds what an entry says.
    pub(super) fn add(&mut self, entry: &AffectedView<'d>, fixed: Vec<String>, status: Status) -> Result<(), DbError> {
        let index = entry.record;
        let record = self.shared.reader.record(index)?;
        let id = record.id()?;
        let status = if entry.note() == Note::Undetermined { Status::Unknown } else { status };
        let upstream: Vec<&'d str> = record.upstream().collect::<Result<_, _>>()?;
        let mut push = |same: Vec<&'d str>, bundle: Option<&'d str>| {
            self.claims.push(Claim { index, record, entry: *entry, fixed: fixed.clone(), status, same, bundle });
        };
        match upstream.as_slice() {
            [] => {
                let mut same = vec![id];
                for alias in record.aliases() {
                    same.push(alias?);
                }
                push(same, None);
            }
            // DEBIAN-CVE-1 is Debian's name of CVE-1: nothing else is bundled in it, and it says nothing of its own.
            [only] if embedded_cve(id) == Some(only) => push(vec![*only], None),
            several => {
                // The vulnerabilities that an advisory of a distribution is about, each for itself.
                let cves: Vec<&'d str> = several.iter().copied().filter(|u| cve_number(u).is_some()).collect();
                let chosen = if cves.is_empty() { several.to_vec() } else { cves };
                for one in chosen {
                    push(vec![one], Some(id));
                }
            }
        }
        Ok(())
    }

    /// One finding for each vulnerability, sorted by id.
    pub(super) fn finish(mut self) -> Result<Vec<Vulnerability>, DbError> {
        let claims = std::mem::take(&mut self.claims);
        let mut out = Vec::new();
        for members in groups(&claims) {
            let claims: Vec<&Claim<'d>> = members.iter().filter_map(|m| claims.get(*m)).collect();
            out.push(self.merge(&claims)?);
        }
        out.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(out)
    }

    fn merge(&mut self, claims: &[&Claim<'d>]) -> Result<Vulnerability, DbError> {
        let fixes = self.fixes(claims);
        let mut out = Vulnerability {
            facts: self.shared.facts(claims)?,
            status: if claims.iter().any(|c| c.status == Status::Affected) {
                Status::Affected
            } else {
                Status::Unknown
            },
            fixed: self.shared.fixed(fixes),
            note: claims.iter().map(|c| c.entry.note()).find(|n| *n != Note::None).unwrap_or_default(),
            ..Vulnerability::default()
        };
        for claim in claims {
            self.cite(&mut out, claim)?;
        }
        Ok(out)
    }

    /// Fixed versions in ascending order. Of distributions the last one: an earlier update that was not complete fixes nothing.
    fn fixes(&self, claims: &[&Claim<'d>]) -> Vec<String> {
        // Where one advisory knows no fix, the others' fix still is one.
        let mut all: Vec<String> = claims.iter().flat_map(|c| c.fixed.iter().cloned()).collect();
        all.sort_by(|a, b| {
            self.order.and_then(|o| o.compare(a, b).ok()).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
        });
        all.dedup();
        let distribution = self.query.ecosystem.contains(':');
        if distribution && all.len() > 1 {
            return all.pop().into_iter().collect();
        }
        all
    }

    fn cite(&mut self, out: &mut Vulnerability, claim: &Claim<'d>) -> Result<(), DbError> {
        let installed = &self.query.version;
        let why = match (claim.status, claim.fixed.as_slice()) {
            (Status::Unknown, _) => format!("{installed} could not be decided"),
            (_, []) => format!("{installed} is affected, no fixed version is known"),
            (_, fixed) => format!("{installed} < {}", fixed.join(", ")),
        };
        let advisory = Advisory {
            id: self.shared.text(claim.record.id()?),
            source: self.shared.source(claim.record.source),
            ecosystem: self.shared.text(&self.query.ecosystem),
            why: self.shared.text(&why),
        };
        if !out.advisories.contains(&advisory) {
            out.advisories.reserve_exact(1);
            out.advisories.push(advisory);
        }
        for import in claim.entry.imports() {
            let import = import?;
            if !out.imports.iter().any(|known| known == import) {
                out.imports.push(import.to_owned());
            }
        }
        Ok(())
    }
}

/// The claims that mean the same vulnerability, by their places: claims that share an id, directly or through others.
fn groups(claims: &[Claim<'_>]) -> Vec<Vec<usize>> {
    let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(claims.len() * 2);
    // The group that a claim belongs to, by the place of another claim in it; a root names itself.
    let mut parent: Vec<usize> = (0..claims.len()).collect();
    for (place, claim) in claims.iter().enumerate() {
        for id in &claim.same {
            let other = *by_id.entry(id).or_insert(place);
            let (a, b) = (root(&mut parent, other), root(&mut parent, place));
            // The earliest claim stays the root, so that groups keep the order of the advisories.
            if let Some(slot) = parent.get_mut(a.max(b)) {
                *slot = a.min(b);
            }
        }
    }
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); claims.len()];
    for place in 0..claims.len() {
        let root = root(&mut parent, place);
        if let Some(group) = members.get_mut(root) {
            group.push(place);
        }
    }
    members.retain(|group| !group.is_empty());
    members
}

fn root(parent: &mut [usize], mut place: usize) -> usize {
    while let Some(&next) = parent.get(place).filter(|next| **next != place) {
        let further = parent.get(next).copied().unwrap_or(next);
        if let Some(slot) = parent.get_mut(place) {
            *slot = further;
        }
        place = next;
    }
    place
}

impl<'d> Shared<'d> {
    /// What advisories say of the vulnerability that they mean together.
    fn facts(&mut self, claims: &[&Claim<'d>]) -> Result<Arc<Facts>, DbError> {
        let mut ids: Vec<&'d str> = claims.iter().flat_map(|c| c.same.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let part = |c: &&Claim<'d>| (c.index, c.entry.label(), c.entry.note() == Note::Unimportant, c.bundle);
        let basis = Basis { ids, claims: claims.iter().map(part).collect() };
        if let Some(known) = self.facts.get(&basis) {
            return Ok(known.clone());
        }
        let facts = Arc::new(self.tell(&basis.ids, claims)?);
        self.facts.insert(basis, facts.clone());
        Ok(facts)
    }

    fn tell(&self, ids: &[&'d str], claims: &[&Claim<'d>]) -> Result<Facts, DbError> {
        let id = primary(ids, claims)?;
        let mut aliases: BTreeSet<&str> = ids.iter().copied().filter(|i| *i != id).collect();
        aliases.extend(claims.iter().filter_map(|c| c.bundle));
        let kinds: Vec<Informational> = claims.iter().map(|c| c.record.informational).collect();
        // A real vulnerability among the advisories outweighs a remark.
        let kind = if kinds.contains(&Informational::No) {
            Informational::No
        } else {
            kinds.first().copied().unwrap_or_default()
        };
        let mut out = Facts {
            id: id.to_owned(),
            aliases: aliases.into_iter().map(str::to_owned).collect(),
            informational: kind.word().map(Cow::Borrowed),
            published: claims.iter().filter_map(|c| c.record.published).min().map(show_day),
            ..Facts::default()
        };
        self.rate(&mut out, ids, claims, kind)?;
        self.tell_of_exploits(&mut out, ids)?;
        for claim in claims {
            let id = claim.record.id()?;
            let mut urls: Vec<String> = canonical_url(id).into_iter().collect();
            urls.extend(claim.record.references().collect::<Result<Vec<_>, _>>()?.into_iter().map(str::to_owned));
            for url in urls {
                if out.references.len() < MAX_REFERENCES && !out.references.contains(&url) {
                    out.references.push(url);
                }
            }
        }
        Ok(out)
    }

    fn rate(
        &self,
        out: &mut Facts,
        ids: &[&'d str],
        claims: &[&Claim<'d>],
        kind: Informational,
    ) -> Result<(), DbError> {
        let mut source = String::new();
        let mut severity: Option<Severity> = None;
        for claim in claims {
            let label = Severity::of_label(claim.entry.label()).or(Severity::of_label(claim.record.label));
            if label > severity {
                severity = label;
                source = self.source_name(claim.record.source);
            }
        }
        if severity.is_none() && claims.iter().any(|c| c.entry.note() == Note::Unimportant) {
            severity = Some(Severity::Negligible);
            source = claims.first().map(|c| self.source_name(c.record.source)).unwrap_or_default();
        }
        for claim in claims {
            take_scores(out, &claim.record)?;
        }
        if severity.is_none() && kind != Informational::No {
            severity = Severity::of_informational(kind);
            source = claims.first().map(|c| self.source_name(c.record.source)).unwrap_or_default();
        }
        if severity.is_none() && out.cvss.is_empty() {
            // No word from this package's advisories: what others say about the same vulnerability.
            for id in ids.iter().filter(|i| cve_number(i).is_some()) {
                for index in self.reader.records_named(id)? {
                    let record = self.reader.record(index)?;
                    // An advisory about several vulnerabilities does not rate one of them.
                    if record.upstream().count()
                        + record.aliases().filter(|a| a.as_ref().is_ok_and(|a| cve_number(a).is_some())).count()
                        > 1
                    {
                        continue;
                    }
                    take_scores(out, &record)?;
                    let label = Severity::of_label(record.label);
                    if label > severity {
                        severity = label;
                        source = self.source_name(record.source);
                    }
                }
            }
        }
        out.severity = match (severity, Cvss::preferred(&out.cvss)) {
            (Some(word), _) => word,
            (None, Some(rating)) => {
                source = format!("CVSS {}", rating.version);
                Severity::of_score(rating.score)
            }
            (None, None) => Severity::Unknown,
        };
        out.severity_source = source;
        Ok(())
    }

    fn tell_of_exploits(&self, out: &mut Facts, ids: &[&'d str]) -> Result<(), DbError> {
        for id in ids {
            let Some(cve) = cve_number(id) else { continue };
            if let Some(fact) = self.reader.exploited(id)? {
                out.exploited = Some(Exploited {
                    added: fact.added.map(show_day),
                    due: fact.due.map(show_day),
                    ransomware: fact.ransomware,
                });
            }
            if let Some((probability, percentile)) = self.reader.epss(cve)? {
                let share = |ppm: u32| f64::from(ppm) / 1e6;
                out.epss = Some(Epss { probability: share(probability), percentile: share(percentile) });
            }
        }
        Ok(())
    }

    fn source_name(&self, number: u32) -> String {
        self.source(number).to_string()
    }
}

fn take_scores(out: &mut Facts, record: &RecordView<'_>) -> Result<(), DbError> {
    for stored in record.scores() {
        if let Some(rating) = Cvss::parse(stored?).filter(|r| !out.cvss.contains(r)) {
            out.cvss.push(rating);
        }
    }
    Ok(())
}

/// The id that a finding goes by: the oldest CVE, else the id of the first advisory.
fn primary<'d>(ids: &[&'d str], claims: &[&Claim<'d>]) -> Result<&'d str, DbError> {
    if let Some(cve) = ids.iter().copied().filter(|i| cve_number(i).is_some()).min_by_key(|i| cve_number(i)) {
        return Ok(cve);
    }
    if let Some(claim) = claims.first() {
        let id = claim.record.id()?;
        if ids.contains(&id) {
            return Ok(id);
        }
    }
    Ok(ids.first().copied().unwrap_or(""))
}
