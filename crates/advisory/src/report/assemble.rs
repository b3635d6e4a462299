//! Puts a report together from an inventory and what matching found.

use super::{
    DatabaseUsed, Finding, FindingPackage, PackageEntry, SCHEMA, ScanReport, Scanner, SecretEntry, SourceUsed, Target,
    TargetOs, WeaknessEntry,
};
use crate::database::Database;
use crate::matching::{Hit, Matches};
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
    let mut findings: Vec<Finding> = matches.hits.into_iter().filter_map(|hit| finding(hit, &packages)).collect();
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (std::cmp::Reverse(f.severity), !f.known_exploited, f.package.kind);
        key(a).cmp(&key(b)).then_with(|| {
            (a.component(), &a.package.name, &a.package.version, &a.id, &a.path).cmp(&(
                b.component(),
                &b.package.name,
                &b.package.version,
                &b.id,
                &b.path,
            ))
        })
    });
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

fn finding(hit: Hit, packages: &[PackageEntry]) -> Option<Finding> {
    let package = packages.get(hit.package)?;
    let v = hit.vulnerability;
    Some(Finding {
        id: v.id,
        aliases: v.aliases,
        package: FindingPackage {
            name: package.name.clone(),
            version: package.version.clone(),
            purl: package.purl.clone(),
            kind: package.kind,
            source: package.source.as_ref().map(|s| s.name.clone()),
        },
        path: package.path.clone(),
        layer: package.layer.clone(),
        instruction: package.instruction.clone(),
        status: v.status,
        severity: v.severity,
        severity_source: v.severity_source,
        cvss: v.cvss,
        fixed: v.fixed,
        known_exploited: v.exploited.is_some(),
        exploited: v.exploited,
        epss: v.epss,
        vex: None,
        ignored: None,
        note: v.note.word().map(str::to_owned),
        informational: v.informational.map(str::to_owned),
        imports: v.imports,
        linked: v.linked,
        advisories: v.advisories,
        published: v.published,
        references: v.references,
    })
}
