//! SPDX 2.3 as JSON: the packages, and for each what is known against it as references of the category SECURITY (SPDX 2.3,
//! annex F.2).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stockade_advisory_db::names::canonical_url;

use crate::report::{Finding, PackageEntry, ScanReport};

/// The report as an SPDX document. `time` is RFC 3339, `uuid` makes its namespace unique.
pub fn spdx(report: &ScanReport, time: &str, uuid: &str) -> Value {
    let mut found: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    for finding in report.open_findings() {
        found.entry((finding.package.purl.as_str(), &*finding.path)).or_default().push(finding);
    }
    let subject = json!({
        "SPDXID": "SPDXRef-Subject",
        "name": if report.target.name.is_empty() { "unnamed" } else { &report.target.name },
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": if report.target.digest.is_some() { "CONTAINER" } else { "APPLICATION" },
    });
    let mut packages = vec![subject];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Subject")];
    for (number, entry) in report.packages.iter().enumerate() {
        let id = format!("SPDXRef-Package-{number}");
        let against = found.get(&(entry.purl.as_str(), entry.path.as_str())).map_or(&[][..], Vec::as_slice);
        packages.push(package(entry, &id, against));
        relations.push(relation("SPDXRef-Subject", "CONTAINS", &id));
    }
    let unknown: Vec<String> = report.unknown.iter().map(|u| format!("not known: {}", u.why)).collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": report.target.name,
        "documentNamespace": format!("https://stockade.dev/spdx/{uuid}"),
        "creationInfo": {"created": time, "creators": [format!("Tool: {}-{}", report.scanner.name, report.scanner.version)]},
        "packages": packages,
        "relationships": relations,
    });
    if !unknown.is_empty() {
        document["comment"] = json!(unknown.join("\n"));
    }
    document
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn package(entry: &PackageEntry, id: &str, findings: &[&Finding]) -> Value {
    let mut references = Vec::new();
    if !entry.purl.is_empty() {
        references.push(
            json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": entry.purl}),
        );
    }
    for finding in findings {
        let address = canonical_url(&finding.id).or_else(|| finding.references.first().cloned());
        let Some(address) = address else { continue };
        let fixed = match finding.fixed.first() {
            Some(version) => format!(", fixed in {version}"),
            None => String::new(),
        };
        references.push(json!({
            "referenceCategory": "SECURITY",
            "referenceType": "advisory",
            "referenceLocator": address,
            "comment": format!("{} ({}){fixed}", finding.id, finding.severity),
        }));
    }
    let mut value = json!({
        "SPDXID": id,
        "name": if entry.name.is_empty() { "unnamed" } else { &entry.name },
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    });
    if !entry.version.is_empty() {
        value["versionInfo"] = json!(entry.version);
    }
    if !entry.licenses.is_empty() {
        // What packages write is seldom an expression of SPDX: it is kept as it is, claimed as nothing.
        value["licenseDeclared"] = json!("NOASSERTION");
        value["licenseComments"] = json!(entry.licenses.join(", "));
    }
    if !entry.path.is_empty() {
        value["sourceInfo"] = json!(format!("listed in {}", entry.path));
    }
    if !references.is_empty() {
        value["externalRefs"] = json!(references);
    }
    value
}
