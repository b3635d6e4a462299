//! What the XML importers share: one pass over the elements, with depth and attributes. No entity but the five of XML
//! itself is expanded, and no document type is read.

use crate::error::DbError;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::collections::BTreeMap;

/// Elements within elements; OVAL criteria are the deepest, below 20.
const MAX_DEPTH: usize = 128;

/// Attributes of an element by local name.
pub(super) type Attributes = BTreeMap<String, String>;

/// What a document's reader does with its elements. `path` holds the local names of the open elements, outermost first.
pub(super) trait Visitor {
    /// An element begins; it is the last of `path`.
    fn start(&mut self, path: &[String], attributes: &Attributes);
    /// An element ends; it is the last of `path`. `text` is what stood in it after its last child.
    fn end(&mut self, path: &[String], text: &str);
}

/// Reads a document.
pub(super) fn visit(name: &str, bytes: &[u8], visitor: &mut dyn Visitor) -> Result<(), DbError> {
    let source = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&source);
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    loop {
        let event = reader.read_event();
        match event
            .map_err(|e| DbError::input(name, format!("no valid XML at byte {}: {e}", reader.buffer_position())))?
        {
            Event::Eof => break,
            Event::Start(element) => {
                open(name, &element, &mut path, visitor)?;
                text.clear();
            }
            Event::Empty(element) => {
                open(name, &element, &mut path, visitor)?;
                visitor.end(&path, "");
                path.pop();
                text.clear();
            }
            Event::End(_) => {
                visitor.end(&path, text.trim());
                path.pop();
                text.clear();
            }
            Event::Text(part) => text.push_str(&part),
            Event::CData(part) => text.push_str(&part),
            Event::GeneralRef(entity) => text.push_str(match &*entity {
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
    if path.is_empty() { Ok(()) } else { Err(DbError::input(name, "the XML ends within an element: it was cut")) }
}

fn open(
    name: &str,
    element: &BytesStart<'_>,
    path: &mut Vec<String>,
    visitor: &mut dyn Visitor,
) -> Result<(), DbError> {
    if path.len() >= MAX_DEPTH {
        return Err(DbError::input(name, "its elements are nested too deeply"));
    }
    let attributes = element
        .attributes()
        .flatten()
        .map(|a| (a.key.local_name().as_ref().to_owned(), a.value.into_owned()))
        .collect();
    path.push(element.local_name().as_ref().to_owned());
    visitor.start(path, &attributes);
    Ok(())
}
