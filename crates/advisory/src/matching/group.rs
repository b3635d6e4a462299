//! Many advisories, one vulnerability: merges what several sources say about one package into one finding per
//! vulnerability.

use super::{Advisory, Epss, Exploited, Query, Status, Vulnerability};
use crate::severity::{Cvss, Severity};
use crate::version::Order;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use stockade_advisory_db::model::show_day;
use stockade_advisory_db::names::{canonical_url, cve_number, embedded_cve};
use stockade_advisory_db::reader::{AffectedView, RecordView};
use stockade_advisory_db::{DbError, Informational, Note, Reader};

/// Most addresses shown for a finding.
const MAX_REFERENCES: usize = 4;

/// Collects the advisories that concern one version of one package.
pub(super) struct Collector<'m, 'd> {
    reader: Reader<'d>,
    sources: &'m [String],
    query: &'m Query,
    order: Option<Order>,
    claims: Vec<Claim<'d>>,
}

/// What one advisory says about the package.
struct Claim<'d> {
    record: RecordView<'d>,
    entry: AffectedView<'d>,
    fixed: Vec<String>,
    status: Status,
    /// Ids that mean the same vulnerability.
    same: BTreeSet<&'d str>,
    /// Ids that are worth showing, but mean several vulnerabilities (a DSA).
    bundle: Option<&'d str>,
}

impl<'m, 'd> Collector<'m, 'd> {
    pub(super) fn new(reader: Reader<'d>, sources: &'m [String], query: &'m Query, order: Option<Order>) -> Self {
        Collector { reader, sources, query, order, claims: Vec::new() }
    }

    /// Adds what an entry says.
    pub(super) fn add(&mut self, entry: &AffectedView<'d>, fixed: Vec<String>, status: Status) -> Result<(), DbError> {
        let record = self.reader.record(entry.record)?;
        let id = record.id()?;
        let status = if entry.note() == Note::Undetermined { Status::Unknown } else { status };
        let upstream: Vec<&'d str> = record.upstream().collect::<Result<_, _>>()?;
        let aliases: Vec<&'d str> = record.aliases().collect::<Result<_, _>>()?;
        let mut push = |same: BTreeSet<&'d str>, bundle: Option<&'d str>| {
            self.claims.push(Claim { record, entry: *entry, fixed: fixed.clone(), status, same, bundle });
        };
        match upstream.as_slice() {
            [] => push(std::iter::once(id).chain(aliases).collect(), None),
            // DEBIAN-CVE-1 is Debian's name of CVE-1: nothing else is bundled in it, and it says nothing of its own.
            [only] if embedded_cve(id) == Some(only) => push(BTreeSet::from([*only]), None),
            several => {
                // The vulnerabilities that an advisory of a distribution is about, each for itself.
                let cves: Vec<&'d str> = several.iter().copied().filter(|u| cve_number(u).is_some()).collect();
                let chosen = if cves.is_empty() { several.to_vec() } else { cves };
                for one in chosen {
                    push(BTreeSet::from([one]), Some(id));
                }
            }
        }
        Ok(())
    }

    /// One finding for each vulnerability, sorted by id.
    pub(super) fn finish(self) -> Result<Vec<Vulnerability>, DbError> {
        let mut groups: Vec<(BTreeSet<&'d str>, Vec<usize>)> = Vec::new();
        for (index, claim) in self.claims.iter().enumerate() {
            let mut ids = claim.same.clone();
            let mut members = vec![index];
            // Take in every group that shares an id; usually one or none.
            groups.retain_mut(|(known, claims)| {
                if known.is_disjoint(&ids) {
                    return true;
                }
                ids.append(known);
                members.append(claims);
                false
            });
            members.sort_unstable();
            groups.push((ids, members));
        }
        let mut out = Vec::with_capacity(groups.len());
        for (ids, members) in groups {
            let claims: Vec<&Claim<'d>> = members.iter().filter_map(|m| self.claims.get(*m)).collect();
            out.push(self.merge(&ids, &claims)?);
        }
        out.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(out)
    }

    fn merge(&self, ids: &BTreeSet<&'d str>, claims: &[&Claim<'d>]) -> Result<Vulnerability, DbError> {
        let id = primary(ids, claims)?;
        let mut aliases: BTreeSet<&str> = ids.iter().copied().filter(|i| *i != id).collect();
        aliases.extend(claims.iter().filter_map(|c| c.bundle));
        let mut out = Vulnerability {
            id: id.to_owned(),
            aliases: aliases.into_iter().map(str::to_owned).collect(),
            status: if claims.iter().any(|c| c.status == Status::Affected) {
                Status::Affected
            } else {
                Status::Unknown
            },
            fixed: self.fixes(claims),
            note: claims.iter().map(|c| c.entry.note()).find(|n| *n != Note::None).unwrap_or_default(),
            ..Vulnerability::default()
        };
        let kinds: Vec<Informational> = claims.iter().map(|c| c.record.informational).collect();
        // A real vulnerability among the advisories outweighs a remark.
        let kind = if kinds.contains(&Informational::No) {
            Informational::No
        } else {
            kinds.first().copied().unwrap_or_default()
        };
        out.informational = kind.word();
        self.rate(&mut out, ids, claims, kind)?;
        self.tell_of_exploits(&mut out, ids)?;
        for claim in claims {
            self.cite(&mut out, claim)?;
        }
        out.published = claims.iter().filter_map(|c| c.record.published).min().map(show_day);
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

    fn rate(
        &self,
        out: &mut Vulnerability,
        ids: &BTreeSet<&'d str>,
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

    fn tell_of_exploits(&self, out: &mut Vulnerability, ids: &BTreeSet<&'d str>) -> Result<(), DbError> {
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

    fn cite(&self, out: &mut Vulnerability, claim: &Claim<'d>) -> Result<(), DbError> {
        let id = claim.record.id()?;
        let installed = &self.query.version;
        let why = match (claim.status, claim.fixed.as_slice()) {
            (Status::Unknown, _) => format!("{installed} could not be decided"),
            (_, []) => format!("{installed} is affected, no fixed version is known"),
            (_, fixed) => format!("{installed} < {}", fixed.join(", ")),
        };
        let advisory = Advisory {
            id: id.to_owned(),
            source: self.source_name(claim.record.source),
            ecosystem: self.query.ecosystem.clone(),
            why,
        };
        if !out.advisories.contains(&advisory) {
            out.advisories.push(advisory);
        }
        for import in claim.entry.imports() {
            let import = import?.to_owned();
            if !out.imports.contains(&import) {
                out.imports.push(import);
            }
        }
        let mut urls: Vec<String> = canonical_url(id).into_iter().collect();
        urls.extend(claim.record.references().collect::<Result<Vec<_>, _>>()?.into_iter().map(str::to_owned));
        for url in urls {
            if out.references.len() < MAX_REFERENCES && !out.references.contains(&url) {
                out.references.push(url);
            }
        }
        Ok(())
    }

    fn source_name(&self, number: u32) -> String {
        self.sources.get(number as usize).cloned().unwrap_or_default()
    }
}

fn take_scores(out: &mut Vulnerability, record: &RecordView<'_>) -> Result<(), DbError> {
    for stored in record.scores() {
        if let Some(rating) = Cvss::parse(stored?).filter(|r| !out.cvss.contains(r)) {
            out.cvss.push(rating);
        }
    }
    Ok(())
}

/// The id that a finding goes by: the oldest CVE, else the id of the first advisory.
fn primary<'d>(ids: &BTreeSet<&'d str>, claims: &[&Claim<'d>]) -> Result<&'d str, DbError> {
    if let Some(cve) = ids.iter().copied().filter(|i| cve_number(i).is_some()).min_by_key(|i| cve_number(i)) {
        return Ok(cve);
    }
    if let Some(claim) = claims.first() {
        let id = claim.record.id()?;
        if ids.contains(id) {
            return Ok(id);
        }
    }
    Ok(ids.iter().next().copied().unwrap_or(""))
}
