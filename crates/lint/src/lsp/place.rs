//! Byte offsets to the places of an editor and back.

use serde_json::{Value, json};

use crate::model::Finding;

/// What a column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Bytes.
    Utf8,
    /// 16-bit units, which is the protocol's default.
    Utf16,
}

impl Encoding {
    fn width(self, c: char) -> usize {
        match self {
            Encoding::Utf8 => c.len_utf8(),
            Encoding::Utf16 => c.len_utf16(),
        }
    }

    /// The protocol's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16 => "utf-16",
        }
    }
}

/// A document's text with its lines.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Byte offset of each line. A line ends with `\n`, `\r\n` or `\r`.
    lines: Vec<usize>,
}

impl Text {
    pub(super) fn new(text: String) -> Text {
        let mut lines = vec![0];
        let bytes = text.as_bytes();
        for (i, b) in bytes.iter().enumerate() {
            if *b == b'\n' || *b == b'\r' && bytes.get(i + 1) != Some(&b'\n') {
                lines.push(i + 1);
            }
        }
        Text { text, lines }
    }

    /// Bytes of a byte order mark at the start: places of findings do not count them.
    pub(super) fn mark(&self) -> usize {
        if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
    }

    /// A byte offset as `{line, character}`.
    pub(super) fn position(&self, offset: usize, encoding: Encoding) -> Value {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.lines.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        let character: usize = before.chars().map(|c| encoding.width(c)).sum();
        json!({"line": line, "character": character})
    }

    /// `{line, character}` as a byte offset. Places outside the text are moved to its nearest, as the protocol says.
    pub(super) fn offset(&self, position: &Value, encoding: Encoding) -> Option<usize> {
        let number =
            |name| position.get(name).and_then(Value::as_u64).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let (line, character) = (number("line")?, number("character")?);
        let Some(start) = self.lines.get(line).copied() else { return Some(self.text.len()) };
        let end = self.lines.get(line.saturating_add(1)).copied().unwrap_or(self.text.len());
        let content = self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        let mut at = 0;
        for (i, c) in content.char_indices() {
            if at >= character {
                return Some(start + i);
            }
            at += encoding.width(c);
        }
        Some(start + content.len())
    }

    /// Two byte offsets as a range.
    pub(super) fn range(&self, start: usize, end: usize, encoding: Encoding) -> Value {
        json!({"start": self.position(start, encoding), "end": self.position(end.max(start), encoding)})
    }

    /// Byte offsets of a finding's place. Its lines end with `\n` only, and its columns count characters from 1.
    pub(super) fn of_finding(&self, f: &Finding) -> (usize, usize) {
        (self.of_characters(f.line, f.column), self.of_characters(f.end_line, f.end_column))
    }

    /// See [`Text::of_finding`].
    pub(super) fn of_characters(&self, line: u32, column: u32) -> usize {
        let mut start = self.mark();
        for _ in 1..line {
            match self.text.get(start..).and_then(|rest| rest.find('\n')) {
                Some(at) => start += at + 1,
                None => return self.text.len(),
            }
        }
        let rest = self.text.get(start..).unwrap_or("");
        rest.char_indices().nth(column.saturating_sub(1) as usize).map_or(self.text.len(), |(i, _)| start + i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_what_the_client_counts() {
        let text = Text::new("a😀é\r\nx\ry".to_owned());
        let end = "a😀é".len();
        assert_eq!(text.position(end, Encoding::Utf16), json!({"line": 0, "character": 4}));
        assert_eq!(text.position(end, Encoding::Utf8), json!({"line": 0, "character": 7}));
        assert_eq!(text.offset(&json!({"line": 0, "character": 3}), Encoding::Utf16), Some(5));
        // The middle of a character is its end; beyond the line is the line's end; beyond the text is the text's end.
        assert_eq!(text.offset(&json!({"line": 0, "character": 2}), Encoding::Utf16), Some(5));
        assert_eq!(text.offset(&json!({"line": 0, "character": 99}), Encoding::Utf16), Some(end));
        assert_eq!(text.offset(&json!({"line": 9, "character": 0}), Encoding::Utf16), Some(text.text.len()));
        assert_eq!(text.position(text.text.len(), Encoding::Utf16), json!({"line": 2, "character": 1}));
        assert_eq!(text.offset(&json!({"line": -1, "character": 0}), Encoding::Utf16), None);
    }

    #[test]
    fn a_byte_order_mark_is_not_counted_by_findings() {
        let text = Text::new("\u{feff}FROM é\nRUN x".to_owned());
        assert_eq!(text.of_characters(1, 1), 3);
        assert_eq!(text.text.get(text.of_characters(2, 5)..), Some("x"));
        assert_eq!(text.of_characters(99, 1), text.text.len());
    }
}
