//! SPDX 2.2 and 2.3 as JSON.

use serde::Deserialize;

use super::component::{Component, Document};
use crate::json::{self, Text};

#[derive(Deserialize)]
struct Spdx {
    #[serde(default)]
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: Text,
    #[serde(default, rename = "versionInfo")]
    version: Text,
    #[serde(default, rename = "licenseConcluded")]
    concluded: Text,
    #[serde(default, rename = "licenseDeclared")]
    declared: Text,
    #[serde(default, rename = "sourceInfo")]
    source_info: Text,
    #[serde(default, rename = "primaryPackagePurpose")]
    purpose: Text,
    #[serde(default, rename = "externalRefs")]
    references: Vec<Reference>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default, rename = "attributionTexts")]
    attributions: Vec<Text>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default, rename = "referenceType")]
    kind: Text,
    #[serde(default, rename = "referenceLocator")]
    locator: Text,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    comment: Text,
}

/// Reads a document.
/// # Errors
/// Words, when it is no JSON of this shape.
pub fn parse(text: &[u8]) -> Result<Document, String> {
    let spdx: Spdx = json::parse(text).map_err(|e| format!("no valid SPDX: {e}"))?;
    let components = spdx.packages.into_iter().map(convert).collect();
    Ok(Document { subject: None, components })
}

fn convert(entry: Entry) -> Component {
    let purl =
        entry.references.into_iter().find(|r| r.kind.0 == "purl" || r.kind.0.ends_with("/purl")).map(|r| r.locator.0);
    // Trivy's facts are annotations, before that attribution texts: `PkgType: debian`.
    let notes = entry.annotations.into_iter().map(|a| a.comment).chain(entry.attributions);
    let mut component = Component {
        name: entry.name.0,
        version: entry.version.0,
        purl: purl.unwrap_or_default(),
        kind: purpose(&entry.purpose.0),
        source_info: entry.source_info.0,
        properties: notes.filter_map(|note| property(&note.0)).collect(),
        ..Component::default()
    };
    component.licenses = license(entry.declared.0).or_else(|| license(entry.concluded.0)).into_iter().collect();
    if component.purl.is_empty() && component.kind.is_empty() && component.version.is_empty() {
        // The image or directory itself.
        "container".clone_into(&mut component.kind);
    }
    component
}

/// `PACKAGE-PURPOSE` words to ours.
pub fn purpose(text: &str) -> String {
    text.to_lowercase().replace('_', "-")
}

/// `key: value` of a tool to the name that its property has elsewhere.
pub fn property(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once(": ")?;
    let known = match key {
        "PkgType" | "SrcName" | "SrcVersion" | "SrcRelease" | "SrcEpoch" | "LayerDiffID" | "FilePath"
        | "Modularitylabel" => {
            format!("aquasecurity:trivy:{key}")
        }
        key if key.starts_with("stockade:") || key.starts_with("aquasecurity:") => key.to_owned(),
        _ => return None,
    };
    Some((known, value.to_owned()))
}

/// The values that say nothing are no licence.
pub fn license(text: String) -> Option<String> {
    (!matches!(text.as_str(), "" | "NOASSERTION" | "NONE")).then_some(text)
}
