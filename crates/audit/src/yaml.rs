//! YAML with places, bounded: what Compose and Kubernetes files are read with.
//!
//! A tree of our own over `saphyr-parser`'s events, because expanding aliases must stay bounded ("billion laughs") and every
//! value must keep its line. Source: YAML 1.2.2.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Largest file, in bytes: real ones are kilobytes; generated ones may be megabytes.
pub const MAX_BYTES: usize = 50 << 20;
/// Most nodes in a file after aliases are expanded.
const MAX_NODES: usize = 1_000_000;
/// Deepest nesting: Kubernetes objects stay below 20.
const MAX_DEPTH: usize = 100;

/// A file that cannot be read as YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// 1-based.
    pub line: usize,
    /// 1-based.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// 1-based line.
    pub line: usize,
    /// Bytes of the file. Exact for scalars and for collections in brackets; of block collections only the start is.
    pub span: Range<usize>,
    /// Bytes of the key, where this is a mapping's value.
    pub key: Range<usize>,
    /// Whether it is a collection in brackets.
    pub flow: bool,
    /// Whether it is an alias: its words stand elsewhere, and others may use them too.
    pub alias: bool,
    /// The value.
    pub value: Value,
}

/// A YAML value. Scalars keep their text; what it means depends on who asks.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text, and whether it was written without quotes (only then can it be a boolean, a number or null).
    Scalar(String, bool),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file. Keys are scalars.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Value of a key; `None` where this is no mapping or lacks it. A later duplicate key wins, as in most readers;
    /// `<<` merges are looked through.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.get_within(key, 8)
    }

    fn get_within(&self, key: &str, depth: usize) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        if let Some((_, node)) = entries.iter().rev().find(|(k, _)| k == key) {
            return Some(node);
        }
        if depth == 0 {
            return None;
        }
        entries.iter().filter(|(k, _)| k == "<<").find_map(|(_, merged)| match &merged.value {
            Value::List(list) => list.iter().find_map(|n| n.get_within(key, depth - 1)),
            _ => merged.get_within(key, depth - 1),
        })
    }

    /// Entry of a key that this mapping has itself, not by a merge: its index and its value.
    pub fn entry(&self, key: &str) -> Option<(usize, &Node)> {
        self.map().iter().enumerate().rev().find(|(_, (k, _))| k == key).map(|(i, (_, n))| (i, n))
    }

    /// Value at a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(_, _) if self.is_null() => None,
            Value::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(text, true) if ["", "~", "null", "Null", "NULL"].contains(&text.as_str()))
    }

    /// A boolean as YAML 1.2 and Kubernetes read it.
    pub fn boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar(text, true) => match text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Scalar(text, true) => text.parse().ok(),
            _ => None,
        }
    }

    /// Entries of a sequence; nothing for other values.
    pub fn list(&self) -> &[Node] {
        match &self.value {
            Value::List(list) => list,
            _ => &[],
        }
    }

    /// Entries of a mapping; nothing for other values.
    pub fn map(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// A short form for evidence.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Scalar(text, true) => text.chars().take(120).collect(),
            Value::Scalar(text, false) => format!("\"{}\"", text.chars().take(120).collect::<String>()),
            Value::List(list) => format!("[{}]", list.iter().take(12).map(Node::shown).collect::<Vec<_>>().join(", ")),
            Value::Map(entries) => {
                format!("{{{}}}", entries.iter().take(12).map(|(k, _)| k.as_str()).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Reads every document of a file.
pub fn parse(bytes: &[u8]) -> Result<Vec<Node>, YamlError> {
    let error = |line: usize, column: usize, message: &str| YamlError { line, column, message: message.to_owned() };
    if bytes.len() > MAX_BYTES {
        return Err(error(1, 1, "the file is larger than 50 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        error(line, column, "not UTF-8 text")
    })?;
    // A byte order mark is no part of the text.
    let (text, skipped) = text.strip_prefix('\u{feff}').map_or((text, 0), |rest| (rest, 3));
    let mut builder = Builder { documents: Vec::new(), open: Vec::new(), anchors: HashMap::new(), nodes: 0 };
    let mut offsets = Offsets { text, chars: 0, bytes: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| error(e.marker().line(), e.marker().col() + 1, e.info()))?;
        let start = offsets.at(span.start.index());
        let end = match &event {
            // The parser counts white space and a comment behind a quoted text in.
            Event::Scalar(_, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted, ..) => quoted_end(text, start),
            _ => None,
        };
        let end = end.unwrap_or_else(|| offsets.at(span.end.index()));
        let place = start + skipped..end + skipped;
        builder
            .event(event, span.start.line(), place)
            .map_err(|message| error(span.start.line(), span.start.col() + 1, message))?;
    }
    Ok(builder.documents)
}

/// Where a quoted text that begins at `start` ends: behind its closing quote.
fn quoted_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = *bytes.get(start)?;
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if quote == b'"' => at += 2,
            b if b == quote && quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return Some(at + 1),
            _ => at += 1,
        }
        if !matches!(quote, b'"' | b'\'') {
            return None;
        }
    }
}

/// Turns the parser's character counts into bytes. Counts mostly rise, so one cursor that walks is quick enough.
struct Offsets<'t> {
    text: &'t str,
    chars: usize,
    bytes: usize,
}

impl Offsets<'_> {
    fn at(&mut self, index: usize) -> usize {
        while self.chars < index {
            let Some(c) = self.text.get(self.bytes..).and_then(|t| t.chars().next()) else { break };
            self.chars += 1;
            self.bytes += c.len_utf8();
        }
        while self.chars > index {
            let Some(c) = self.text.get(..self.bytes).and_then(|t| t.chars().next_back()) else { break };
            self.chars -= 1;
            self.bytes -= c.len_utf8();
        }
        self.bytes
    }
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// Key that waits for its value, in a mapping, and its bytes.
    key: Option<(String, Range<usize>)>,
}

struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    /// Anchored nodes with their sizes in nodes, by the parser's number.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize, span: Range<usize>) -> Result<(), &'static str> {
        let node = |value: Value| Node { line, flow: false, alias: false, key: 0..0, span: span.clone(), value };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = node(Value::Scalar(text.into_owned(), style == ScalarStyle::Plain));
                self.count(1)?;
                self.finish(node, anchor)
            }
            Event::SequenceStart(anchor, _) => self.start(node(Value::List(Vec::new())), anchor),
            Event::MappingStart(anchor, _) => self.start(node(Value::Map(Vec::new())), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let mut open = self.open.pop().ok_or("a collection ends that did not begin")?;
                // Brackets have a width at both ends; the ends of block collections have none.
                open.node.flow = open.node.span.end > open.node.span.start && span.end > span.start;
                open.node.span.end = span.end.max(open.node.span.start);
                self.finish(open.node, open.anchor)
            }
            Event::Alias(id) => {
                let size = self.anchors.get(&id).map(|(_, size)| *size).ok_or("an alias has no anchor")?;
                self.count(size)?;
                let mut node = self.anchors.get(&id).map(|(node, _)| node.clone()).ok_or("an alias has no anchor")?;
                borrow(&mut node);
                node.span = span;
                self.finish(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, n: usize) -> Result<(), &'static str> {
        self.nodes += n;
        if self.nodes > MAX_NODES { Err("too many values (aliases expanded)") } else { Ok(()) }
    }

    fn start(&mut self, node: Node, anchor: usize) -> Result<(), &'static str> {
        self.count(1)?;
        if self.open.len() >= MAX_DEPTH {
            return Err("nested too deeply");
        }
        self.open.push(Open { node, anchor, key: None });
        Ok(())
    }

    fn finish(&mut self, mut node: Node, anchor: usize) -> Result<(), &'static str> {
        if anchor != 0 {
            let size = size(&node);
            self.count(size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(list) => list.push(node),
            Value::Map(entries) => match open.key.take() {
                Some((key, at)) => {
                    node.key = at;
                    entries.push((key, node));
                }
                None => match node.value {
                    Value::Scalar(text, _) => open.key = Some((text, node.span)),
                    _ => return Err("a key must be a plain value"),
                },
            },
            Value::Scalar(..) => return Err("a value inside a plain value"),
        }
        Ok(())
    }
}

/// Marks a copy of an anchored value: an edit of it would change the original.
fn borrow(node: &mut Node) {
    node.alias = true;
    match &mut node.value {
        Value::Scalar(..) => {}
        Value::List(list) => list.iter_mut().for_each(borrow),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, n)| borrow(n)),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(..) => 0,
        Value::List(list) => list.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, n)| size(n)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_lines_and_quotes() {
        let docs = parse(b"a: 1\nb:\n  - \"true\"\n  - true\n---\nc: ~\n").unwrap();
        assert_eq!(docs.len(), 2);
        assert_eq!(docs[0].get("a").unwrap().integer(), Some(1));
        let b = docs[0].get("b").unwrap().list();
        assert_eq!((b[0].line, b[0].boolean(), b[1].boolean()), (3, None, Some(true)));
        assert!(docs[1].get("c").unwrap().is_null());
    }

    #[test]
    fn merges_and_aliases_are_seen_through() {
        let docs = parse(b"x: &x {privileged: true}\ny:\n  <<: *x\n  z: 1\n").unwrap();
        assert_eq!(docs[0].at(&["y", "privileged"]).unwrap().boolean(), Some(true));
    }

    #[test]
    fn bombs_and_nonsense_are_errors_with_a_place() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let list = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{list}]\n"));
        }
        assert!(parse(bomb.as_bytes()).unwrap_err().message.contains("too many"));
        assert!(parse("[".repeat(5000).as_bytes()).is_err());
        assert_eq!(parse(b"ok: 1\nx: \xff").unwrap_err().line, 2);
        assert!(parse(b"a: [1\nb: 2").is_err());
        assert!(parse(b"a: *nothing").is_err());
    }

    #[test]
    fn spans_are_bytes_of_the_file() {
        for text in [
            "é: \"wört\"\nlist: [a, 'b']\nmap:\n  k: v # c\n",
            "\u{feff}é: \"wört\"\r\nlist: [a, 'b']\r\nmap:\r\n  k: v # c\r\n",
        ] {
            let doc = parse(text.as_bytes()).unwrap().remove(0);
            let at = |n: &Node| &text[n.span.clone()];
            assert_eq!(at(doc.get("é").unwrap()), "\"wört\"");
            let more = parse(b"a: 'it''s' # c\nb: \"q\\\"\" # d\n").unwrap().remove(0);
            assert_eq!((more.get("a").unwrap().span.clone(), more.get("b").unwrap().span.clone()), (3..10, 18..23));
            let list = doc.get("list").unwrap();
            assert_eq!((at(list), list.flow), ("[a, 'b']", true));
            assert_eq!(at(&list.list()[1]), "'b'");
            let map = doc.get("map").unwrap();
            assert!(!map.flow && text[map.span.start..].starts_with("k: v"), "{:?}", map.span);
            assert_eq!(&text[map.get("k").unwrap().key.clone()], "k");
            assert_eq!(at(map.get("k").unwrap()), "v");
        }
    }

    #[test]
    fn aliases_are_marked() {
        let doc = parse(b"a: &x {k: 1}\nb: *x\n").unwrap().remove(0);
        assert!(!doc.at(&["a", "k"]).unwrap().alias);
        assert!(doc.get("b").unwrap().alias && doc.at(&["b", "k"]).unwrap().alias);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse_or_fail(text in "[a:\\- \\n\\[\\]{}&*<>|'\"#%0-9]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
