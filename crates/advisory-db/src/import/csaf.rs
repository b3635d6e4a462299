//! CSAF 2.0 (<https://docs.oasis-open.org/csaf/csaf/v2.0/>), advisories and VEX documents, as Red Hat and SUSE publish
//! them: a tree of products, relationships ("this package as part of that release"), and for each vulnerability which
//! of them are fixed or affected.

use super::{Batch, described};
use crate::error::DbError;
use crate::model::{Affected, Event, EventKind, Label, Note, Record, parse_day};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Depth of the product tree that is followed; real ones have four levels.
const MAX_DEPTH: usize = 32;

#[derive(Deserialize)]
struct Document {
    document: Head,
    #[serde(default)]
    product_tree: Tree,
    #[serde(default)]
    vulnerabilities: Vec<Vulnerability>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    publisher: Publisher,
    #[serde(default)]
    aggregate_severity: Severity,
    tracking: Tracking,
}

#[derive(Deserialize, Default)]
struct Publisher {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize, Default)]
struct Severity {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Tracking {
    id: String,
    #[serde(default)]
    initial_release_date: String,
    #[serde(default)]
    current_release_date: String,
}

#[derive(Deserialize, Default)]
struct Tree {
    #[serde(default)]
    branches: Vec<Branch>,
    #[serde(default)]
    relationships: Vec<Relationship>,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(default)]
    branches: Vec<Branch>,
    product: Option<Product>,
}

#[derive(Deserialize)]
struct Product {
    product_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    product_identification_helper: Helper,
}

#[derive(Deserialize, Default)]
struct Helper {
    cpe: Option<String>,
    purl: Option<String>,
}

#[derive(Deserialize)]
struct Relationship {
    product_reference: String,
    relates_to_product_reference: String,
    full_product_name: FullName,
}

#[derive(Deserialize)]
struct FullName {
    product_id: String,
}

#[derive(Deserialize)]
struct Vulnerability {
    cve: Option<String>,
    #[serde(default)]
    product_status: Status,
    #[serde(default)]
    remediations: Vec<Remediation>,
    #[serde(default)]
    scores: Vec<Score>,
    #[serde(default)]
    threats: Vec<Threat>,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    fixed: Vec<String>,
    #[serde(default)]
    recommended: Vec<String>,
    #[serde(default)]
    known_affected: Vec<String>,
    #[serde(default)]
    under_investigation: Vec<String>,
}

#[derive(Deserialize)]
struct Remediation {
    #[serde(default)]
    category: String,
    #[serde(default)]
    product_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Score {
    cvss_v4: Option<Vector>,
    cvss_v3: Option<Vector>,
    cvss_v2: Option<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "vectorString", default)]
    vector: String,
}

#[derive(Deserialize)]
struct Threat {
    #[serde(default)]
    category: String,
    #[serde(default)]
    details: String,
}

pub(super) fn read(batch: &mut Batch, name: &str, bytes: &[u8]) -> Result<(), DbError> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|e| DbError::input(name, format!("not CSAF: {e}")))?;
    let publisher = document.document.publisher.name.to_ascii_lowercase();
    let source = match publisher.as_str() {
        p if p.contains("red hat") => "Red-Hat",
        p if p.contains("suse") => "SUSE",
        _ => {
            return Err(DbError::input(
                name,
                format!("the products of the publisher `{}` are not known", document.document.publisher.name),
            ));
        }
    };
    let products = Products::of(&document.product_tree);
    let tracking = &document.document.tracking;
    let is_advisory = !tracking.id.starts_with("CVE-");
    for vulnerability in &document.vulnerabilities {
        let Some(cve) = vulnerability.cve.clone().or_else(|| (!is_advisory).then(|| tracking.id.clone())) else {
            continue;
        };
        let affected = products.affected(vulnerability);
        if affected.is_empty() {
            continue;
        }
        let impact = vulnerability.threats.iter().find(|t| t.category == "impact").map(|t| t.details.as_str());
        let record = Record {
            // One record for each advisory and vulnerability: what is fixed may differ.
            id: if is_advisory { format!("{}:{cve}", tracking.id) } else { format!("{source}-{cve}") },
            aliases: Vec::new(),
            upstream: vec![cve],
            published: parse_day(&tracking.initial_release_date),
            modified: parse_day(&tracking.current_release_date),
            label: Label::from_word(impact.unwrap_or(&document.document.aggregate_severity.text)),
            scores: scores(vulnerability),
            affected,
            ..Record::default()
        };
        // VEX documents tell what has no fix; advisories tell what was fixed.
        batch.add(described(source, "", "", !is_advisory), record);
    }
    Ok(())
}

fn scores(vulnerability: &Vulnerability) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for score in &vulnerability.scores {
        for vector in [&score.cvss_v4, &score.cvss_v3, &score.cvss_v2].into_iter().flatten() {
            if !vector.vector.is_empty() && !out.contains(&vector.vector) {
                out.push(vector.vector.clone());
            }
        }
    }
    out
}

/// What product ids mean.
struct Products<'t> {
    named: BTreeMap<&'t str, &'t Product>,
    /// Full id: package and release.
    related: BTreeMap<&'t str, (&'t str, &'t str)>,
}

/// A package in a release.
struct Part {
    ecosystem: String,
    name: String,
    /// `None`: any version.
    version: Option<String>,
}

impl<'t> Products<'t> {
    fn of(tree: &'t Tree) -> Self {
        let mut named = BTreeMap::new();
        collect(&tree.branches, &mut named, 0);
        let related = tree
            .relationships
            .iter()
            .map(|r| {
                (
                    r.full_product_name.product_id.as_str(),
                    (r.product_reference.as_str(), r.relates_to_product_reference.as_str()),
                )
            })
            .collect();
        Products { named, related }
    }

    fn affected(&self, vulnerability: &Vulnerability) -> Vec<Affected> {
        // One entry for each release and package: architectures say the same.
        let mut out: BTreeMap<(String, String), Affected> = BTreeMap::new();
        let status = &vulnerability.product_status;
        let mut put = |id: &str, kind: EventKind, note: Note| {
            let Some(part) = self.part(id) else { return };
            let mut events = vec![Event { kind: EventKind::Introduced, version: "0".to_owned() }];
            match (kind, part.version) {
                (EventKind::Fixed, Some(version)) => events.push(Event { kind, version }),
                (EventKind::Fixed, None) => return,
                _ => {}
            }
            let key = (part.ecosystem.clone(), part.name.clone());
            out.entry(key).or_insert(Affected {
                ecosystem: part.ecosystem,
                name: part.name,
                ranges: vec![events],
                note,
                ..Affected::default()
            });
        };
        for id in status.fixed.iter().chain(&status.recommended) {
            put(id, EventKind::Fixed, Note::None);
        }
        for id in &status.known_affected {
            let planned = |category: &str| {
                vulnerability.remediations.iter().any(|r| r.category == category && r.product_ids.contains(id))
            };
            let note = if planned("no_fix_planned") { Note::WillNotFix } else { Note::None };
            put(id, EventKind::Introduced, note);
        }
        for id in &status.under_investigation {
            put(id, EventKind::Introduced, Note::Undetermined);
        }
        out.into_values().collect()
    }

    fn part(&self, id: &str) -> Option<Part> {
        let (component, platform) =
            self.related.get(id).copied().or_else(|| id.split_once(':').map(|(p, c)| (c, p)))?;
        let ecosystem = ecosystem(self.named.get(platform)?)?;
        let purl = self.named.get(component).and_then(|p| p.product_identification_helper.purl.as_deref());
        let (name, version) = purl.and_then(from_purl).or_else(|| from_nevra(component))?;
        Some(Part { ecosystem, name, version })
    }
}

fn collect<'t>(branches: &'t [Branch], named: &mut BTreeMap<&'t str, &'t Product>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for branch in branches {
        if let Some(product) = &branch.product {
            named.insert(&product.product_id, product);
        }
        collect(&branch.branches, named, depth + 1);
    }
}

/// OSV's name of a release: Red Hat's by CPE, SUSE's by product name.
fn ecosystem(platform: &Product) -> Option<String> {
    if let Some(cpe) = &platform.product_identification_helper.cpe {
        let rest = cpe.strip_prefix("cpe:/a:redhat:").or_else(|| cpe.strip_prefix("cpe:/o:redhat:"));
        if let Some(rest) = rest.filter(|r| r.starts_with("enterprise_linux:")) {
            return Some(format!("Red Hat:{rest}"));
        }
    }
    if let Some(rest) = platform.name.strip_prefix("SUSE ") {
        return Some(format!("SUSE:{rest}"));
    }
    platform.name.strip_prefix("openSUSE ").map(|rest| format!("openSUSE:{rest}"))
}

/// Name and version of `pkg:rpm/redhat/openssl@3.0.7-27.el9?arch=x86_64&epoch=1`.
fn from_purl(purl: &str) -> Option<(String, Option<String>)> {
    let rest = purl.strip_prefix("pkg:rpm/")?;
    let (path, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    let (path, version) = path.split_once('@').map_or((path, None), |(p, v)| (p, Some(decode(v))));
    let name = decode(path.rsplit('/').next()?);
    let epoch = qualifiers.split('&').find_map(|q| q.strip_prefix("epoch=")).filter(|e| *e != "0");
    let version = version.map(|v| epoch.map_or(v.clone(), |e| format!("{e}:{v}")));
    (!name.is_empty()).then_some((name, version))
}

/// Name and version of `openssl-1:3.0.7-27.el9.x86_64`; a name alone has no version.
fn from_nevra(text: &str) -> Option<(String, Option<String>)> {
    if text.is_empty() {
        return None;
    }
    let architectures =
        ["x86_64", "aarch64", "noarch", "src", "ppc64le", "s390x", "i686", "i586", "ppc64", "s390", "armv7hl", "nosrc"];
    let Some((stem, arch)) = text.rsplit_once('.').filter(|(_, a)| architectures.contains(a)) else {
        return Some((text.to_owned(), None));
    };
    let _ = arch;
    let mut parts = stem.rsplitn(3, '-');
    let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
    let version = version.strip_prefix("0:").unwrap_or(version);
    Some((name.to_owned(), Some(format!("{version}-{release}"))))
}

/// Percent-decoding of a purl part.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
            if let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) {
                out.push((high * 16 + low) as u8);
            }
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
