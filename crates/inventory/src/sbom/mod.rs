//! Software bills of materials: read from any tool, written for any tool.
//!
//! In: CycloneDX 1.4–1.7 as JSON and XML, SPDX 2.2/2.3 as JSON and tag-value, SPDX 3.0 as JSON; also inside an in-toto
//! statement. Out: CycloneDX 1.6 and SPDX 2.3 as JSON, the same bytes for the same contents.

use serde::Deserialize;

use crate::error::InventoryError;
use crate::finish;
use crate::json;
use crate::model::Inventory;

mod component;
mod cyclonedx;
mod cyclonedx_xml;
mod licenses;
mod spdx2;
mod spdx3;
mod spdx_tag;
mod write;
mod write_cyclonedx;
mod write_spdx;

pub use write::SbomInfo;
pub use write_cyclonedx::write_cyclonedx;
pub use write_spdx::write_spdx;

/// Largest SBOM that is read, in bytes.
pub const MAX_SBOM_BYTES: u64 = 256 << 20;

/// What tells the formats apart.
#[derive(Deserialize, Default)]
struct Head {
    #[serde(default, rename = "bomFormat")]
    bom_format: json::Text,
    #[serde(default, rename = "spdxVersion")]
    spdx_version: json::Text,
    #[serde(default, rename = "@graph")]
    graph: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "@context")]
    context: json::Text,
    #[serde(default)]
    predicate: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Statement {
    predicate: Box<serde_json::value::RawValue>,
}

/// Reads an SBOM. `name` is used in messages and as the path of packages that have none.
/// # Errors
/// When the bytes are no SBOM of a known format. Single entries that cannot be used are in `unknown`.
pub fn read_sbom(bytes: &[u8], name: &str) -> Result<Inventory, InventoryError> {
    let fail = |why: String| InventoryError::Sbom { name: name.to_owned(), why };
    if bytes.len() as u64 > MAX_SBOM_BYTES {
        return Err(fail(format!("it is over the limit of {} MiB", MAX_SBOM_BYTES >> 20)));
    }
    let document = parse(bytes, 0).map_err(fail)?;
    let mut inventory = document.into_inventory(name);
    finish::sort(&mut inventory.packages);
    inventory.unknown.sort();
    inventory.unknown.dedup();
    Ok(inventory)
}

fn parse(bytes: &[u8], depth: usize) -> Result<component::Document, String> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    match text.first() {
        Some(b'{') => {
            let head: Head = json::parse(text).map_err(|e| format!("no valid JSON: {e}"))?;
            if head.bom_format.0 == "CycloneDX" {
                cyclonedx::parse(text)
            } else if head.spdx_version.0.starts_with("SPDX-2") {
                spdx2::parse(text)
            } else if head.graph.is_some() && head.context.0.contains("spdx") {
                spdx3::parse(text)
            } else if head.predicate.is_some() && depth == 0 {
                let statement: Statement = json::parse(text).map_err(|e| format!("no valid in-toto statement: {e}"))?;
                parse(statement.predicate.get().as_bytes(), 1)
            } else {
                Err("JSON, but neither CycloneDX nor SPDX 2.x or 3.x".to_owned())
            }
        }
        Some(b'<') => cyclonedx_xml::parse(text),
        Some(_) if memchr::memmem::find(text, b"SPDXVersion:").is_some() => spdx_tag::parse(text),
        Some(_) => Err("none of CycloneDX (JSON, XML) and SPDX (JSON, tag-value)".to_owned()),
        None => Err("it is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests;
