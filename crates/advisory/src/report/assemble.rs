//! Puts a report together from an inventory and what matching found.

use super::{
    DatabaseUsed, Finding, FindingPackage, PackageEntry, SCHEMA, ScanReport, Scanner, SecretEntry, SourceUsed, Target,
    TargetOs, WeaknessEntry,
};
use crate::database::Database;
use crate::matching::{Hit, Matches, Vulnerability};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use stockade_advisory_db::DbError;
use stockade_inventory::{Inventory, Package, Secret, Weakness};

/// Where a layer comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerOrigin {
    /// `sha256:…` of the uncompressed layer.
    pub diff_id: String,
    /// The Dockerfile instruction that made it, where the image's history says.
    pub instruction: Option<String>,
}

/// Makes the report. `layers` are the image's, lowest first, as in the inventory; empty for other targets.
/// # Errors
/// When the database is damaged.
pub fn assemble(
    target: Target,
    inventory: &Inventory,
    matches: Matches,
    layers: &[LayerOrigin],
    database: &Database,
    version: &str,
) -> Result<ScanReport, DbError> {
    let status = database.status()?;
    let sources =
        status.sources.into_iter().map(|s| SourceUsed { name: s.name, records: s.records, as_of: s.as_of }).collect();
    let os = inventory.os.as_ref().map(|os| TargetOs {
        id: os.id.clone(),
        version: os.version_id.clone(),
        name: os.pretty.clone(),
        eol: os.eol.map(|d| d.to_string()),
    });
    let origin = |package: &Package| package.layer.and_then(|index| layers.get(index));
    let packages: Vec<PackageEntry> = inventory.packages.iter().map(|p| entry(p, origin(p))).collect();
    let findings = findings(matches.hits, &packages);
    let mut unknown = inventory.unknown.clone();
    unknown.extend(matches.unknown);
    unknown.sort();
    unknown.dedup();
    Ok(ScanReport {
        schema: SCHEMA.to_owned(),
        target: Target { os, ..target },
        scanner: Scanner { name: "stockade".to_owned(), version: version.to_owned() },
        database: DatabaseUsed { built: status.built, digest: status.digest, sources, coverage: matches.coverage },
        packages,
        findings,
        unknown,
        secrets: inventory.secrets.iter().map(|s| secret(s, layers)).collect(),
        weaknesses: inventory.weaknesses.iter().map(|w| weakness(w, layers)).collect(),
        base: None,
        drift: None,
        news: None,
        notes: matches.notes,
    })
}

fn secret(secret: &Secret, layers: &[LayerOrigin]) -> SecretEntry {
    let origin = secret.layer.and_then(|index| layers.get(index));
    SecretEntry {
        path: secret.path.clone(),
        rule: secret.rule.clone(),
        title: secret.title.clone(),
        line: secret.line,
        hint: secret.hint.clone(),
        layer: origin.map(|o| o.diff_id.clone()),
        instruction: origin.and_then(|o| o.instruction.clone()),
        deleted: secret.deleted,
    }
}

fn weakness(weakness: &Weakness, layers: &[LayerOrigin]) -> WeaknessEntry {
    let origin = weakness.layer.and_then(|index| layers.get(index));
    WeaknessEntry {
        id: weakness.id.clone(),
        path: weakness.path.clone(),
        evidence: weakness.evidence.clone(),
        severity: weakness.severity.parse().unwrap_or_default(),
        fix: weakness.fix.clone(),
        layer: origin.map(|o| o.diff_id.clone()),
        instruction: origin.and_then(|o| o.instruction.clone()),
    }
}

fn entry(package: &Package, origin: Option<&LayerOrigin>) -> PackageEntry {
    PackageEntry {
        name: package.name.clone(),
        version: package.version.clone(),
        kind: package.kind,
        purl: package.purl.clone(),
        path: package.path.clone(),
        layer: origin.map(|o| o.diff_id.clone()),
        instruction: origin.and_then(|o| o.instruction.clone()),
        source: package.source.clone(),
        licenses: package.licenses.clone(),
        found_by: package.found_by.clone(),
        depends: package.depends.clone(),
    }
}

/// What the findings of one package have in common.
struct Subject {
    package: Arc<FindingPackage>,
    path: Arc<str>,
    layer: Option<Arc<str>>,
    instruction: Option<Arc<str>>,
}

impl Subject {
    fn new(entry: &PackageEntry) -> Subject {
        Subject {
            package: Arc::new(FindingPackage {
                name: entry.name.clone(),
                version: entry.version.clone(),
                purl: entry.purl.clone(),
                kind: entry.kind,
                source: entry.source.as_ref().map(|s| s.name.clone()),
            }),
            path: entry.path.as_str().into(),
            layer: entry.layer.as_deref().map(Into::into),
            instruction: entry.instruction.as_deref().map(Into::into),
        }
    }
}

/// Findings, worst first, then by package.
fn findings(mut hits: Vec<Hit>, packages: &[PackageEntry]) -> Vec<Finding> {
    let ranks = ranks(packages);
    let rank = |hit: &Hit| ranks.get(hit.package).copied().unwrap_or(u32::MAX);
    let path = |hit: &Hit| packages.get(hit.package).map_or("", |p| p.path.as_str());
    hits.sort_by(|a, b| {
        let worst = |h: &Hit| (Reverse(h.vulnerability.severity), !h.vulnerability.known_exploited());
        worst(a)
            .cmp(&worst(b))
            .then_with(|| rank(a).cmp(&rank(b)))
            .then_with(|| a.vulnerability.id.cmp(&b.vulnerability.id))
            .then_with(|| path(a).cmp(path(b)))
    });
    let mut subjects: HashMap<usize, Subject> = HashMap::new();
    let mut findings = Vec::with_capacity(hits.len());
    for Hit { package, vulnerability } in hits {
        let Some(entry) = packages.get(package) else { continue };
        let subject = subjects.entry(package).or_insert_with(|| Subject::new(entry));
        findings.push(finding(*vulnerability, subject));
    }
    findings
}

/// The place of each package in the order of kind, component, name and version.
fn ranks(packages: &[PackageEntry]) -> Vec<u32> {
    let key = |p: &PackageEntry| (p.kind, p.component().to_owned(), p.name.clone(), p.version.clone());
    let mut keyed: Vec<_> = packages.iter().enumerate().map(|(index, p)| (key(p), index)).collect();
    keyed.sort();
    let mut ranks = vec![0; packages.len()];
    let (mut rank, mut last) = (0, None);
    for (key, index) in &keyed {
        if last.is_some_and(|l| l != key) {
            rank += 1;
        }
        last = Some(key);
        if let Some(slot) = ranks.get_mut(*index) {
            *slot = rank;
        }
    }
    ranks
}

fn finding(v: Vulnerability, subject: &Subject) -> Finding {
    Finding {
        facts: v.facts,
        package: subject.package.clone(),
        path: subject.path.clone(),
        layer: subject.layer.clone(),
        instruction: subject.instruction.clone(),
        status: v.status,
        fixed: v.fixed,
        vex: None,
        ignored: None,
        note: v.note.word().map(Into::into),
        imports: v.imports,
        linked: v.linked,
        symbols_linked: v.symbols_linked,
        in_entry_point: v.in_entry_point,
        advisories: v.advisories,
    }
}
