//! SPDX 2.2 and 2.3 in tag-value form: `Tag: value`, longer texts in `<text>…</text>`.

use super::component::{Component, Document};
use super::spdx2::{license, property, purpose};

/// Reads a document.
/// # Errors
/// Words, when it lists nothing that is a package.
pub fn parse(bytes: &[u8]) -> Result<Document, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut document = Document::default();
    let mut current: Option<Component> = None;
    let mut in_text = false;
    let mut any = false;
    for line in text.lines() {
        if in_text {
            in_text = !line.contains("</text>");
            continue;
        }
        let Some((tag, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        in_text = value.starts_with("<text>") && !value.contains("</text>");
        let value = value.trim_start_matches("<text>").trim_end_matches("</text>");
        match tag.trim() {
            "PackageName" => {
                any = true;
                document.components.extend(current.take().map(close));
                current = Some(Component { name: value.to_owned(), ..Component::default() });
            }
            // What follows belongs to a file or snippet.
            "FileName" | "SnippetSPDXID" | "SPDXVersion" => {
                any |= tag == "SPDXVersion";
                document.components.extend(current.take().map(close));
            }
            tag => {
                if let Some(component) = &mut current {
                    field(component, tag, value);
                }
            }
        }
    }
    document.components.extend(current.map(close));
    if any { Ok(document) } else { Err("has no SPDX tags".to_owned()) }
}

fn field(component: &mut Component, tag: &str, value: &str) {
    match tag {
        "PackageVersion" => component.version = value.to_owned(),
        "PrimaryPackagePurpose" => component.kind = purpose(value),
        "PackageSourceInfo" => component.source_info = value.to_owned(),
        "PackageLicenseDeclared" => component.licenses = license(value.to_owned()).into_iter().collect(),
        "PackageLicenseConcluded" if component.licenses.is_empty() => {
            component.licenses = license(value.to_owned()).into_iter().collect();
        }
        "PackageAttributionText" | "AnnotationComment" => component.properties.extend(property(value)),
        "ExternalRef" => {
            // category, type, locator
            let mut words = value.split_whitespace().skip(1);
            if let (Some("purl" | "http://spdx.org/rdf/references/purl"), Some(locator)) = (words.next(), words.next())
            {
                component.purl = locator.to_owned();
            }
        }
        _ => {}
    }
}

fn close(mut component: Component) -> Component {
    if component.purl.is_empty() && component.kind.is_empty() && component.version.is_empty() {
        "container".clone_into(&mut component.kind);
    }
    component
}
