//! CycloneDX 1.4 to 1.7 as XML. Entities other than the five of XML itself are not expanded.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::component::{Component, Document};

/// Elements within elements.
const MAX_DEPTH: usize = 256;

/// Where the reader is: names of open elements, and components not finished.
#[derive(Default)]
struct State {
    path: Vec<String>,
    open: Vec<Component>,
    document: Document,
    property: Option<String>,
    text: String,
}

/// Reads a document.
/// # Errors
/// Words, when it is no XML or no CycloneDX.
pub fn parse(bytes: &[u8]) -> Result<Document, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&text);
    let mut state = State::default();
    let mut is_bom = false;
    loop {
        match reader.read_event().map_err(|e| format!("no valid XML at byte {}: {e}", reader.buffer_position()))? {
            Event::Eof => break,
            Event::Start(element) => {
                is_bom |= state.path.is_empty() && element.local_name().as_ref() == "bom";
                state.start(&element)?;
            }
            Event::Empty(element) => {
                state.start(&element)?;
                state.end();
            }
            Event::End(_) => state.end(),
            Event::Text(text) => state.text.push_str(&text),
            Event::CData(data) => state.text.push_str(&data),
            Event::GeneralRef(entity) => state.text.push_str(match &*entity {
                "amp" => "&",
                "lt" => "<",
                "gt" => ">",
                "quot" => "\"",
                "apos" => "'",
                _ => "",
            }),
            _ => {}
        }
    }
    if is_bom { Ok(state.document) } else { Err("XML, but no CycloneDX `bom`".to_owned()) }
}

impl State {
    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        if self.path.len() >= MAX_DEPTH {
            return Err("elements are nested too deeply".to_owned());
        }
        let name = element.local_name().as_ref().to_owned();
        let attribute =
            |key: &str| element.attributes().flatten().find(|a| a.key.as_ref() == key).map(|a| a.value.into_owned());
        if name == "component" {
            let kind = attribute("type").unwrap_or_default().to_lowercase();
            self.open.push(Component { kind, ..Component::default() });
        }
        if name == "property" {
            self.property = attribute("name");
        }
        self.text.clear();
        self.path.push(name);
        Ok(())
    }

    fn end(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let text = std::mem::take(&mut self.text).trim().to_owned();
        if name == "component" {
            let Some(done) = self.open.pop() else { return };
            if self.path.last().is_some_and(|parent| parent == "metadata") {
                self.document.subject = Some(done);
            } else if !done.name.is_empty() || !done.purl.is_empty() {
                self.document.components.push(done);
            }
            return;
        }
        let parent = self.path.last().map_or("", String::as_str);
        let Some(component) = self.open.last_mut() else { return };
        match (parent, name.as_str()) {
            ("component", "name") => component.name = text,
            ("component", "group") => component.group = text,
            ("component", "version") => component.version = text,
            ("component", "purl") => component.purl = text,
            ("component", "scope") => component.dev = text == "excluded",
            ("license", "id" | "name") | ("licenses", "expression")
                if self.path.iter().rev().take(3).any(|p| p == "component") =>
            {
                component.licenses.push(text);
            }
            ("properties", "property") => {
                if let Some(key) = self.property.take() {
                    component.properties.push((key, text));
                }
            }
            ("occurrence", "location") => component.properties.push(("stockade:path".to_owned(), text)),
            _ => {}
        }
    }
}
