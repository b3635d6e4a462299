//! Writes SPDX 2.3 as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::licenses::{is_expression, is_identifier};
use super::write::{SbomInfo, uuid};
use crate::model::{Inventory, OsInfo, Package};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spdx<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    document_namespace: String,
    creation_info: CreationInfo<'a>,
    packages: Vec<Entry<'a>>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo<'a> {
    created: &'a str,
    creators: [&'static str; 1],
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version_info: &'a str,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_comments: Option<String>,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<Reference<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attribution_texts: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const SUBJECT: &str = "SPDXRef-Subject";
const NO_ASSERTION: &str = "NOASSERTION";

/// Writes the inventory. The same contents give the same bytes.
/// # Errors
/// The writer's.
pub fn write_spdx(inventory: &Inventory, info: &SbomInfo, out: &mut dyn Write) -> io::Result<()> {
    let name = if info.name.is_empty() { "unnamed" } else { &info.name };
    let mut packages = vec![Entry {
        name,
        version_info: &info.version,
        primary_package_purpose: Some(if inventory.layers.is_empty() { "APPLICATION" } else { "CONTAINER" }),
        ..entry(SUBJECT.to_owned())
    }];
    packages.extend(inventory.os.as_ref().map(system));
    packages.extend(inventory.packages.iter().enumerate().map(|(index, p)| package(index, p)));
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", SUBJECT)];
    relationships.extend(packages.iter().skip(1).map(|p| relationship(SUBJECT, "CONTAINS", &p.id)));
    let document = Spdx {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name,
        document_namespace: format!("urn:uuid:{}", uuid(inventory, info, "spdx")),
        creation_info: CreationInfo {
            created: info.time(),
            creators: [concat!("Tool: stockade-", env!("CARGO_PKG_VERSION"))],
        },
        packages,
        relationships,
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}

fn relationship(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship { spdx_element_id: from.to_owned(), relationship_type: kind, related_spdx_element: to.to_owned() }
}

fn entry<'a>(id: String) -> Entry<'a> {
    Entry {
        id,
        download_location: NO_ASSERTION,
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION.to_owned(),
        copyright_text: NO_ASSERTION,
        ..Entry::default()
    }
}

fn system(os: &OsInfo) -> Entry<'_> {
    Entry {
        name: &os.id,
        version_info: &os.version_id,
        primary_package_purpose: Some("OPERATING_SYSTEM"),
        ..entry("SPDXRef-OperatingSystem".to_owned())
    }
}

fn package(index: usize, package: &Package) -> Entry<'_> {
    let declared = declared(&package.licenses);
    let comments = (declared.is_none() && !package.licenses.is_empty()).then(|| package.licenses.join(", "));
    let purl =
        Reference { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator: &package.purl };
    Entry {
        name: &package.name,
        version_info: &package.version,
        license_declared: declared.unwrap_or_else(|| NO_ASSERTION.to_owned()),
        license_comments: comments,
        source_info: package.source.as_ref().map(|s| format!("built package from: {} {}", s.name, s.version)),
        external_refs: if package.purl.is_empty() { Vec::new() } else { vec![purl] },
        attribution_texts: vec![format!("stockade:path: {}", package.path)],
        ..entry(format!("SPDXRef-Package-{index}"))
    }
}

/// An expression, if all parts are on the SPDX list: others would need texts that are not known here.
fn declared(licenses: &[String]) -> Option<String> {
    match licenses {
        [] => None,
        [one] if is_expression(one) => Some(one.clone()),
        many => many.iter().all(|l| is_identifier(l)).then(|| many.join(" AND ")),
    }
}
