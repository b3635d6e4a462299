//! VEX: statements about whether a vulnerability matters in a product. OpenVEX, CycloneDX VEX and CSAF VEX are read.
//!
//! A statement applies to a finding when it names the vulnerability by any of its ids, and its package by purl: type,
//! namespace and name must agree, the version where the statement has one, and each qualifier where the statement has it.
//! OpenVEX may name the image as product and the package as subcomponent; then the package decides.

use crate::matching::Status;
use crate::report::{Finding, ScanReport, Statement};
use serde_json::Value;
use std::collections::BTreeMap;

/// A VEX document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vex {
    file: String,
    claims: Vec<Claim>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    ids: Vec<String>,
    /// Purls; empty for "every product in this document", as CycloneDX without components.
    products: Vec<String>,
    status: ClaimStatus,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClaimStatus {
    NotAffected,
    Affected,
    Fixed,
    UnderInvestigation,
}

impl ClaimStatus {
    fn word(self) -> &'static str {
        match self {
            Self::NotAffected => "not_affected",
            Self::Affected => "affected",
            Self::Fixed => "fixed",
            Self::UnderInvestigation => "under_investigation",
        }
    }
}

/// A document that is no VEX.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` is no VEX document: {why}")]
pub struct VexError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub why: String,
}

impl Vex {
    /// Reads a document. `file` is for messages and for the report.
    /// # Errors
    /// When it is none of the three formats.
    pub fn parse(file: &str, json: &[u8]) -> Result<Self, VexError> {
        let wrong = |why: String| VexError { file: file.to_owned(), why };
        let document: Value = serde_json::from_slice(json).map_err(|e| wrong(e.to_string()))?;
        let claims = if document.get("statements").is_some() {
            openvex(&document)
        } else if document.get("bomFormat").is_some_and(|b| b == "CycloneDX") {
            cyclonedx(&document)
        } else if document.pointer("/document/csaf_version").is_some() {
            csaf(&document)
        } else {
            return Err(wrong("OpenVEX, CycloneDX and CSAF are known".to_owned()));
        };
        Ok(Vex { file: file.to_owned(), claims })
    }

    /// Applies the statements; of several about one finding the last one counts. Output: how many findings they concern.
    pub fn apply(&self, report: &mut ScanReport) -> usize {
        let mut concerned = 0;
        for finding in &mut report.findings {
            let Some(claim) = self.claims.iter().rev().find(|c| c.concerns(finding)) else { continue };
            concerned += 1;
            finding.status = match claim.status {
                ClaimStatus::NotAffected | ClaimStatus::Fixed => Status::NotAffected,
                ClaimStatus::UnderInvestigation => Status::Unknown,
                ClaimStatus::Affected => Status::Affected,
            };
            finding.vex = Some(Box::new(Statement {
                by: self.file.clone(),
                status: claim.status.word().to_owned(),
                reason: claim.reason.clone(),
                until: None,
            }));
        }
        concerned
    }
}

impl Claim {
    fn concerns(&self, finding: &Finding) -> bool {
        self.ids.iter().any(|id| finding.has_id(id))
            && (self.products.is_empty() || self.products.iter().any(|p| covers(p, &finding.package.purl)))
    }
}

/// The parts of a purl that decide whether it names the same package.
#[derive(Debug, Default, PartialEq, Eq)]
struct Purl<'p> {
    /// `deb/debian/openssl`
    path: &'p str,
    version: Option<&'p str>,
    qualifiers: BTreeMap<&'p str, &'p str>,
}

fn purl(text: &str) -> Option<Purl<'_>> {
    let rest = text.strip_prefix("pkg:")?;
    let rest = rest.split('#').next()?;
    let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    // A version is after the last '@' that is not the first character of a path part (npm's "@scope").
    let (path, version) = match rest.rfind('@').filter(|at| !rest.get(..*at).is_some_and(|p| p.ends_with('/'))) {
        Some(at) => (rest.get(..at)?, rest.get(at + 1..)),
        None => (rest, None),
    };
    let qualifiers = qualifiers.split('&').filter_map(|q| q.split_once('=')).collect();
    Some(Purl { path, version, qualifiers })
}

/// Whether a statement's purl names the package of a finding.
fn covers(stated: &str, found: &str) -> bool {
    let (Some(stated), Some(found)) = (purl(stated), purl(found)) else { return stated == found };
    let decode = |text: &str| {
        text.replace("%2B", "+").replace("%2b", "+").replace("%3A", ":").replace("%40", "@").replace("%7E", "~")
    };
    decode(stated.path).eq_ignore_ascii_case(&decode(found.path))
        && stated.version.is_none_or(|v| found.version.is_some_and(|f| decode(v) == decode(f)))
        && stated.qualifiers.iter().all(|(key, value)| found.qualifiers.get(key).is_none_or(|f| f == value))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn openvex(document: &Value) -> Vec<Claim> {
    list(document, "statements")
        .filter_map(|statement| {
            let status = match text(statement, "status") {
                "not_affected" => ClaimStatus::NotAffected,
                "affected" => ClaimStatus::Affected,
                "fixed" => ClaimStatus::Fixed,
                "under_investigation" => ClaimStatus::UnderInvestigation,
                _ => return None,
            };
            let vulnerability = statement.get("vulnerability")?;
            let mut ids: Vec<String> = match vulnerability {
                // The form before version 0.2.
                Value::String(id) => vec![id.clone()],
                other => vec![text(other, "name").to_owned()],
            };
            ids.extend(list(vulnerability, "aliases").filter_map(Value::as_str).map(str::to_owned));
            let mut products = Vec::new();
            for product in list(statement, "products") {
                let parts: Vec<String> = list(product, "subcomponents").filter_map(identifier).collect();
                if parts.is_empty() {
                    products.extend(identifier(product));
                } else {
                    products.extend(parts);
                }
            }
            if products.is_empty() {
                // OpenVEX requires a product; a statement without one says nothing.
                return None;
            }
            let reason = ["justification", "impact_statement", "status_notes", "action_statement"]
                .into_iter()
                .map(|key| text(statement, key))
                .filter(|t| !t.is_empty())
                .collect::<Vec<_>>()
                .join(": ");
            Some(Claim { ids, products, status, reason })
        })
        .collect()
}

fn identifier(product: &Value) -> Option<String> {
    if let Some(id) = product.as_str() {
        return Some(id.to_owned());
    }
    let purl = product.pointer("/identifiers/purl").and_then(Value::as_str);
    purl.or_else(|| product.get("@id").and_then(Value::as_str)).map(str::to_owned)
}

fn cyclonedx(document: &Value) -> Vec<Claim> {
    let mut purls: BTreeMap<&str, &str> = BTreeMap::new();
    for component in list(document, "components") {
        purls.insert(text(component, "bom-ref"), text(component, "purl"));
    }
    list(document, "vulnerabilities")
        .filter_map(|vulnerability| {
            let analysis = vulnerability.get("analysis")?;
            let status = match text(analysis, "state") {
                "not_affected" | "false_positive" => ClaimStatus::NotAffected,
                "exploitable" => ClaimStatus::Affected,
                "resolved" | "resolved_with_pedigree" => ClaimStatus::Fixed,
                "in_triage" => ClaimStatus::UnderInvestigation,
                _ => return None,
            };
            let mut ids = vec![text(vulnerability, "id").to_owned()];
            ids.extend(list(vulnerability, "references").map(|r| text(r, "id").to_owned()).filter(|id| !id.is_empty()));
            let products: Vec<String> = list(vulnerability, "affects")
                .map(|a| text(a, "ref"))
                .map(|reference| {
                    // "urn:cdx:SERIAL/VERSION#REF" points into another document; purls are used as references, too.
                    let local = reference
                        .rsplit_once('#')
                        .filter(|_| reference.starts_with("urn:cdx:"))
                        .map_or(reference, |(_, l)| l);
                    purls.get(local).copied().filter(|p| !p.is_empty()).unwrap_or(local).to_owned()
                })
                .collect();
            let reason = [text(analysis, "justification"), text(analysis, "detail")]
                .into_iter()
                .filter(|t| !t.is_empty())
                .collect::<Vec<_>>()
                .join(": ");
            Some(Claim { ids, products, status, reason })
        })
        .collect()
}

/// CSAF's profile "VEX": product status by product id; products are found by their purls.
fn csaf(document: &Value) -> Vec<Claim> {
    let mut purls: BTreeMap<String, String> = BTreeMap::new();
    if let Some(tree) = document.get("product_tree") {
        products(tree, &mut purls, 0);
        for relation in list(tree, "relationships") {
            let component = text(relation, "product_reference");
            let whole = relation.pointer("/full_product_name/product_id").and_then(Value::as_str).unwrap_or_default();
            if let Some(purl) = purls.get(component).cloned() {
                purls.insert(whole.to_owned(), purl);
            }
        }
    }
    let mut out = Vec::new();
    for vulnerability in list(document, "vulnerabilities") {
        let id = text(vulnerability, "cve").to_owned();
        let states = [
            ("known_not_affected", ClaimStatus::NotAffected),
            ("known_affected", ClaimStatus::Affected),
            ("fixed", ClaimStatus::Fixed),
            ("under_investigation", ClaimStatus::UnderInvestigation),
        ];
        for (key, status) in states {
            let named: Vec<&str> = vulnerability
                .get("product_status")
                .into_iter()
                .flat_map(|s| list(s, key))
                .filter_map(Value::as_str)
                .collect();
            let found: Vec<String> = named.iter().filter_map(|id| purls.get(*id).cloned()).collect();
            if id.is_empty() || found.is_empty() {
                continue;
            }
            let flag = list(vulnerability, "flags")
                .find(|f| list(f, "product_ids").filter_map(Value::as_str).any(|p| named.contains(&p)))
                .map_or("", |f| text(f, "label"));
            out.push(Claim { ids: vec![id.clone()], products: found, status, reason: flag.to_owned() });
        }
    }
    out
}

fn products(node: &Value, purls: &mut BTreeMap<String, String>, depth: usize) {
    if depth > 32 {
        return;
    }
    let mut put = |product: &Value| {
        if let Some(purl) = product.pointer("/product_identification_helper/purl").and_then(Value::as_str) {
            purls.insert(text(product, "product_id").to_owned(), purl.to_owned());
        }
    };
    node.get("product").into_iter().for_each(&mut put);
    list(node, "full_product_names").for_each(&mut put);
    for branch in list(node, "branches") {
        products(branch, purls, depth + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purls_cover_what_they_name() {
        let found = "pkg:deb/debian/libssl3@3.0.9-1%2Bb1?arch=amd64&distro=debian-12";
        for (stated, expected) in [
            ("pkg:deb/debian/libssl3", true),
            ("pkg:deb/debian/libssl3@3.0.9-1+b1", true),
            ("pkg:deb/debian/libssl3@3.0.10", false),
            ("pkg:deb/debian/libssl3?arch=amd64", true),
            ("pkg:deb/debian/libssl3?arch=arm64", false),
            ("pkg:deb/ubuntu/libssl3", false),
            ("pkg:deb/debian/openssl", false),
        ] {
            assert_eq!(covers(stated, found), expected, "{stated}");
        }
        assert_eq!(purl("pkg:npm/@scope/name").unwrap().version, None);
        assert_eq!(purl("pkg:npm/@scope/name@1.0").unwrap().version, Some("1.0"));
    }

    #[test]
    fn three_formats_say_the_same() {
        let open = r#"{"@context": "https://openvex.dev/ns/v0.2.0", "statements": [{"vulnerability": {"name": "CVE-1", "aliases": ["GHSA-1"]},
            "products": [{"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/x"}]}], "status": "not_affected", "justification": "vulnerable_code_not_present"}]}"#;
        let cyclone = r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"bom-ref": "c1", "purl": "pkg:deb/debian/x"}],
            "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected", "justification": "code_not_present"}, "affects": [{"ref": "urn:cdx:u/1#c1"}]}]}"#;
        let csaf = r#"{"document": {"csaf_version": "2.0"}, "product_tree": {"branches": [{"branches": [{"product": {"product_id": "p", "product_identification_helper": {"purl": "pkg:deb/debian/x"}}}]}]},
            "vulnerabilities": [{"cve": "CVE-1", "product_status": {"known_not_affected": ["p"]}, "flags": [{"label": "vulnerable_code_not_present", "product_ids": ["p"]}]}]}"#;
        for json in [open, cyclone, csaf] {
            let vex = Vex::parse("f", json.as_bytes()).unwrap();
            let claim = &vex.claims[0];
            assert_eq!((claim.ids[0].as_str(), claim.status), ("CVE-1", ClaimStatus::NotAffected), "{json}");
            assert_eq!(claim.products, ["pkg:deb/debian/x"]);
            assert!(claim.reason.contains("code_not_present"));
        }
        assert!(Vex::parse("f", b"{}").unwrap_err().to_string().contains("OpenVEX"));
    }

    proptest::proptest! {
        #[test]
        fn any_purl_is_compared(a in "pkg:[a-z/@?&=#%0-9]{0,20}", b in "pkg:[a-z/@?&=#%0-9]{0,20}") {
            let _ = covers(&a, &b);
            proptest::prop_assert!(covers(&a, &a));
        }
    }
}
