//! Places in a file.

use std::fmt;
use std::sync::Arc;

/// A point between two characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// 1-based line.
    pub line: u32,
    /// 1-based column, counted in characters (Unicode scalar values).
    pub column: u32,
    /// 0-based offset in bytes.
    pub offset: usize,
}

/// A stretch of a file; `end` is the point after its last character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Where the first character starts.
    pub start: Position,
    /// Where the last character ends.
    pub end: Position,
}

impl Span {
    /// The start of a file.
    pub(crate) fn default_start() -> Span {
        let start = Position { line: 1, column: 1, offset: 0 };
        Span { start, end: start }
    }

    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and the place it was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value, as the parser understood it.
    pub value: T,
    /// The raw text it came from.
    pub span: Span,
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Distance between two entries of the character count table, in bytes.
/// Small enough that counting the rest costs nothing, large enough that the table is 3 % of the text.
const CHECKPOINT_BYTES: usize = 256;

/// A file's text with the tables that turn byte offsets into lines and columns.
#[derive(Debug, Clone)]
pub(crate) struct SourceMap {
    text: Arc<str>,
    /// Byte offset of each line's first character.
    lines: Vec<usize>,
    /// Characters before each multiple of [`CHECKPOINT_BYTES`].
    checkpoints: Vec<u32>,
}

impl SourceMap {
    pub(crate) fn new(text: &str) -> SourceMap {
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1));
        let mut checkpoints = Vec::with_capacity(text.len() / CHECKPOINT_BYTES + 1);
        let mut count = 0u32;
        for chunk in text.as_bytes().chunks(CHECKPOINT_BYTES) {
            checkpoints.push(count);
            count = count.saturating_add(characters(chunk));
        }
        checkpoints.push(count);
        SourceMap { text: text.into(), lines, checkpoints }
    }

    pub(crate) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    fn characters_before(&self, offset: usize) -> u32 {
        let slot = offset / CHECKPOINT_BYTES;
        let before = self.checkpoints.get(slot).copied().unwrap_or_default();
        let rest = self.text.as_bytes().get(slot * CHECKPOINT_BYTES..offset).unwrap_or_default();
        before + characters(rest)
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let column = self.characters_before(offset) - self.characters_before(start);
        Position { line: u32::try_from(line).unwrap_or(u32::MAX), column: column + 1, offset }
    }

    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        Span { start: self.position(start), end: self.position(end.max(start)) }
    }
}

/// Characters that start in `bytes` of UTF-8.
fn characters(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.iter().filter(|b| (**b & 0xC0) != 0x80).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let map = SourceMap::new("aé\nxyz\n");
        let at = |offset| {
            let p = map.position(offset);
            (p.line, p.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 3), "é is one column though two bytes");
        assert_eq!(at(4), (2, 1));
        assert_eq!(at(7), (2, 4));
        assert_eq!(at(8), (3, 1));
        assert_eq!(at(99), (3, 1), "past the end is the end");
    }

    #[test]
    fn columns_hold_far_into_a_long_line() {
        let text = "ü".repeat(10_000);
        let map = SourceMap::new(&text);
        assert_eq!(map.position(2 * 7777).column, 7778);
    }
}
