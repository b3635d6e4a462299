//! SPDX 3.0 as JSON-LD: a graph of elements; packages are `software_Package`, licences hang on relationships.

use std::collections::HashMap;

use serde::Deserialize;

use super::component::{Component, Document};
use super::spdx2::license;
use crate::json::{self, Text};

#[derive(Deserialize)]
struct Spdx {
    #[serde(rename = "@graph")]
    graph: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    #[serde(default, rename = "type")]
    kind: Text,
    #[serde(default, rename = "spdxId")]
    id: Text,
    #[serde(default)]
    name: Text,
    #[serde(default, rename = "software_packageVersion")]
    version: Text,
    #[serde(default, rename = "software_packageUrl")]
    purl: Text,
    #[serde(default, rename = "software_primaryPurpose")]
    purpose: Text,
    #[serde(default, rename = "software_sourceInfo")]
    source_info: Text,
    #[serde(default, rename = "externalIdentifier")]
    identifiers: Vec<Identifier>,
    // Relationships:
    #[serde(default)]
    from: Text,
    #[serde(default)]
    to: Targets,
    #[serde(default, rename = "relationshipType")]
    relationship: Text,
    // Licences:
    #[serde(default, rename = "simplelicensing_licenseExpression")]
    expression: Text,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Targets {
    #[default]
    None,
    One(String),
    Many(Vec<Text>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(default, rename = "externalIdentifierType")]
    kind: Text,
    #[serde(default)]
    identifier: Text,
}

/// Reads a document.
/// # Errors
/// Words, when it is no JSON of this shape.
pub fn parse(text: &[u8]) -> Result<Document, String> {
    let spdx: Spdx = json::parse(text).map_err(|e| format!("no valid SPDX 3: {e}"))?;
    let expressions: HashMap<&str, &str> = spdx
        .graph
        .iter()
        .filter(|e| !e.expression.0.is_empty())
        .map(|e| (e.id.0.as_str(), e.expression.0.as_str()))
        .collect();
    let mut licenses: HashMap<&str, Vec<String>> = HashMap::new();
    for element in
        spdx.graph.iter().filter(|e| matches!(e.relationship.0.as_str(), "hasDeclaredLicense" | "hasConcludedLicense"))
    {
        let targets: Vec<&str> = match &element.to {
            Targets::One(target) => vec![target],
            Targets::Many(many) => many.iter().map(|t| t.0.as_str()).collect(),
            Targets::None | Targets::Other(_) => Vec::new(),
        };
        let list = licenses.entry(&element.from.0).or_default();
        for text in targets.iter().filter_map(|t| expressions.get(t)).filter_map(|e| license((*e).to_owned())) {
            if !list.contains(&text) {
                list.push(text);
            }
        }
    }
    let components = spdx.graph.iter().filter(|e| e.kind.0 == "software_Package").map(|element| {
        let purl = || {
            element
                .identifiers
                .iter()
                .find(|i| matches!(i.kind.0.as_str(), "packageUrl" | "packageURL" | "purl"))
                .map(|i| i.identifier.0.clone())
        };
        Component {
            name: element.name.0.clone(),
            version: element.version.0.clone(),
            purl: element.purl.clone().some().or_else(purl).unwrap_or_default(),
            kind: if element.purpose.0 == "operatingSystem" {
                "operating-system".to_owned()
            } else {
                element.purpose.0.to_lowercase()
            },
            licenses: licenses.get(element.id.0.as_str()).cloned().unwrap_or_default(),
            source_info: element.source_info.0.clone(),
            ..Component::default()
        }
    });
    Ok(Document { subject: None, components: components.collect() })
}
