//! CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>): the components, and the vulnerabilities with their analysis
//! (VEX).

use crate::matching::Status;
use crate::report::{Finding, PackageEntry, ScanReport};
use crate::severity::{Cvss, Severity};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use stockade_advisory_db::names::canonical_url;

/// The report as a CycloneDX bill of materials. `timestamp` is RFC 3339; `serial` is a UUID, so that the same report
/// can be given the same name.
pub fn cyclonedx(report: &ScanReport, timestamp: &str, serial: &str) -> Value {
    let root_ref = "target";
    let kind = if report.target.kind == "image" { "container" } else { "application" };
    let mut root = json!({"type": kind, "bom-ref": root_ref, "name": report.target.name});
    if let Some(digest) = report.target.digest.as_deref().and_then(|d| d.strip_prefix("sha256:")) {
        root["hashes"] = json!([{"alg": "SHA-256", "content": digest}]);
    }
    let mut components: Vec<Value> = Vec::new();
    if let Some(os) = &report.target.os {
        components.push(json!({"type": "operating-system", "bom-ref": "os", "name": os.id, "version": os.version, "description": os.name}));
    }
    let mut used = BTreeSet::new();
    let mut refs: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for (index, package) in report.packages.iter().enumerate() {
        let mut reference = if package.purl.is_empty() { format!("package-{index}") } else { package.purl.clone() };
        if !used.insert(reference.clone()) {
            reference = format!("{reference}#{index}");
            used.insert(reference.clone());
        }
        refs.insert((package.purl.as_str(), package.path.as_str()), reference.clone());
        components.push(component(package, &reference));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{serial}"),
        "version": 1,
        "metadata": {
            "timestamp": timestamp,
            "tools": {"components": [{"type": "application", "name": report.scanner.name, "version": report.scanner.version}]},
            "component": root,
            // What could not be read or decided: a bill that looks complete must not be taken for it.
            "properties": report.unknown.iter().map(|u| json!({"name": format!("stockade:unknown:{}", u.what), "value": if u.path.is_empty() { u.why.clone() } else { format!("{}: {}", u.path, u.why) }})).collect::<Vec<_>>()
        },
        "components": components,
        "vulnerabilities": vulnerabilities(&report.findings, &refs)
    })
}

fn component(package: &PackageEntry, reference: &str) -> Value {
    let mut value = json!({"type": "library", "bom-ref": reference, "name": package.name});
    if !package.version.is_empty() {
        value["version"] = json!(package.version);
    }
    if !package.purl.is_empty() {
        value["purl"] = json!(package.purl);
    }
    if !package.licenses.is_empty() {
        value["licenses"] = package.licenses.iter().map(|l| json!({"license": {"name": l}})).collect();
    }
    let mut properties = vec![json!({"name": "stockade:path", "value": package.path})];
    for (name, text) in [("stockade:layer", &package.layer), ("stockade:instruction", &package.instruction)] {
        if let Some(text) = text {
            properties.push(json!({"name": name, "value": text}));
        }
    }
    if let Some(source) = &package.source {
        properties.push(json!({"name": "stockade:source", "value": format!("{} {}", source.name, source.version)}));
    }
    value["properties"] = json!(properties);
    value
}

/// One entry for each vulnerability and analysis, naming all components it concerns.
fn vulnerabilities(findings: &[Finding], refs: &BTreeMap<(&str, &str), String>) -> Vec<Value> {
    let mut grouped: BTreeMap<(&str, &'static str), Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        grouped.entry((finding.id.as_str(), state(finding))).or_default().push(finding);
    }
    grouped
        .into_iter()
        .enumerate()
        .map(|(index, ((id, state), members))| vulnerability(index, id, state, &members, refs))
        .collect()
}

fn state(finding: &Finding) -> &'static str {
    match finding.status {
        Status::NotAffected => "not_affected",
        Status::Unknown => "in_triage",
        // Someone chose to live with it; that does not make it untrue.
        Status::Affected => "exploitable",
    }
}

fn vulnerability(
    index: usize,
    id: &str,
    state: &str,
    members: &[&Finding],
    refs: &BTreeMap<(&str, &str), String>,
) -> Value {
    let Some(first) = members.first() else { return json!({}) };
    let affects: Vec<Value> = members
        .iter()
        .filter_map(|f| refs.get(&(f.package.purl.as_str(), &*f.path)).map(|r| (r, f)))
        .map(|(reference, f)| json!({"ref": reference, "versions": [{"version": f.package.version, "status": match f.status { Status::NotAffected => "unaffected", Status::Unknown => "unknown", Status::Affected => "affected" }}]}))
        .collect();
    let mut analysis = json!({"state": state});
    if let Some(statement) = first.vex.as_ref().or(first.ignored.as_ref()) {
        analysis["detail"] = json!(statement.reason);
    }
    if !first.fixed.is_empty() {
        analysis["response"] = json!(["update"]);
    }
    let mut value = json!({
        "bom-ref": format!("vulnerability-{index}"),
        "id": id,
        "ratings": ratings(first),
        "affects": affects,
        "analysis": analysis
    });
    if let Some(url) = canonical_url(id) {
        value["source"] = json!({"url": url});
    }
    if !first.aliases.is_empty() {
        value["references"] = first
            .aliases
            .iter()
            .map(|a| json!({"id": a, "source": canonical_url(a).map_or_else(|| json!({}), |url| json!({"url": url}))}))
            .collect();
    }
    if !first.references.is_empty() {
        value["advisories"] = first.references.iter().map(|url| json!({"url": url})).collect();
    }
    if !first.fixed.is_empty() {
        let upgrades: BTreeSet<String> = members
            .iter()
            .filter_map(|f| f.fixed.first().map(|v| format!("upgrade {} to {v}", f.component())))
            .collect();
        value["recommendation"] = json!(upgrades.into_iter().collect::<Vec<_>>().join("; "));
    }
    if let Some(published) = &first.published {
        value["published"] = json!(format!("{published}T00:00:00Z"));
    }
    if first.known_exploited() {
        value["properties"] = json!([{"name": "stockade:known-exploited", "value": "true"}]);
    }
    value
}

fn ratings(finding: &Finding) -> Vec<Value> {
    let word = |s: Severity| if s == Severity::Negligible { "info" } else { s.word() };
    let mut out: Vec<Value> = finding
        .cvss
        .iter()
        .map(|c: &Cvss| {
            let method = match c.version.as_str() {
                "4.0" => "CVSSv4",
                "3.1" => "CVSSv31",
                "3.0" => "CVSSv3",
                "2.0" | "2" => "CVSSv2",
                _ => "other",
            };
            let mut value = json!({"score": c.score, "severity": word(Severity::of_score(c.score)), "method": method});
            if !c.vector.is_empty() {
                value["vector"] = json!(c.vector);
            }
            value
        })
        .collect();
    // The publisher's word is a rating of its own.
    out.push(
        json!({"severity": word(finding.severity), "method": "other", "source": {"name": finding.severity_source}}),
    );
    out
}
