//! CycloneDX 1.4 to 1.7 as JSON.

use serde::Deserialize;

use super::component::{Component, Document};
use crate::json::{self, Text};

/// Components within components.
const MAX_DEPTH: usize = 32;

#[derive(Deserialize)]
struct Bom {
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    components: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    component: Option<Entry>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default, rename = "type")]
    kind: Text,
    #[serde(default)]
    group: Text,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
    #[serde(default)]
    purl: Text,
    #[serde(default)]
    scope: Text,
    #[serde(default)]
    licenses: Option<Vec<LicenseChoice>>,
    #[serde(default)]
    properties: Option<Vec<Property>>,
    #[serde(default)]
    evidence: Option<Evidence>,
    #[serde(default)]
    components: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct LicenseChoice {
    #[serde(default)]
    expression: Text,
    #[serde(default)]
    license: Option<License>,
}

#[derive(Deserialize)]
struct License {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    name: Text,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    value: Text,
}

#[derive(Deserialize)]
struct Evidence {
    #[serde(default)]
    occurrences: Option<Vec<Occurrence>>,
}

#[derive(Deserialize)]
struct Occurrence {
    #[serde(default)]
    location: Text,
}

/// Reads a document.
/// # Errors
/// Words, when it is no JSON of this shape.
pub fn parse(text: &[u8]) -> Result<Document, String> {
    let bom: Bom = json::parse(text).map_err(|e| format!("no valid CycloneDX: {e}"))?;
    let mut document = Document::default();
    if let Some(subject) = bom.metadata.and_then(|m| m.component) {
        let mut nested = Vec::new();
        document.subject = convert(subject, &mut nested, 0);
        document.components.append(&mut nested);
    }
    for entry in bom.components.unwrap_or_default() {
        let mut nested = Vec::new();
        document.components.extend(convert(entry, &mut nested, 0));
        document.components.append(&mut nested);
    }
    Ok(document)
}

fn convert(entry: Entry, nested: &mut Vec<Component>, depth: usize) -> Option<Component> {
    for child in entry.components.unwrap_or_default() {
        if depth < MAX_DEPTH {
            let converted = convert(child, nested, depth + 1);
            nested.extend(converted);
        }
    }
    if entry.name.0.is_empty() && entry.purl.0.is_empty() {
        return None;
    }
    let licenses = entry.licenses.unwrap_or_default().into_iter().filter_map(|choice| {
        choice.expression.some().or_else(|| choice.license.and_then(|l| l.id.some().or_else(|| l.name.some())))
    });
    let mut properties: Vec<(String, String)> =
        entry.properties.unwrap_or_default().into_iter().map(|p| (p.name.0, p.value.0)).collect();
    let occurrence = entry.evidence.and_then(|e| e.occurrences).and_then(|o| o.into_iter().next());
    properties.extend(occurrence.and_then(|o| o.location.some()).map(|path| ("stockade:path".to_owned(), path)));
    Some(Component {
        name: entry.name.0,
        group: entry.group.0,
        version: entry.version.0,
        purl: entry.purl.0,
        kind: entry.kind.0.to_lowercase(),
        licenses: licenses.collect(),
        properties,
        source_info: String::new(),
        dev: entry.scope.0 == "excluded",
    })
}
