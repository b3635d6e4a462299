//! Stretches of a logical line that remember where they came from.

use crate::ast::Word;
use crate::logical::Logical;
use crate::span::{SourceMap, Span, Spanned};

/// A slice of a logical line.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    /// Offset of `text` in the logical line.
    base: usize,
    line: &'a Logical,
    source: &'a SourceMap,
}

impl<'a> Piece<'a> {
    pub(crate) fn whole(line: &'a Logical, source: &'a SourceMap) -> Piece<'a> {
        Piece { text: &line.text, base: 0, line, source }
    }

    /// The part from `start` to `end`, in bytes of this piece. Out of range or off a character: empty.
    pub(crate) fn part(&self, start: usize, end: usize) -> Piece<'a> {
        match self.text.get(start..end) {
            Some(text) => Piece { text, base: self.base + start, ..*self },
            None => Piece { text: "", base: self.base + self.text.len(), ..*self },
        }
    }

    pub(crate) fn from(&self, start: usize) -> Piece<'a> {
        self.part(start, self.text.len())
    }

    pub(crate) fn trim(&self) -> Piece<'a> {
        let start = self.text.len() - self.text.trim_start().len();
        self.part(start, start + self.text.trim().len())
    }

    pub(crate) fn span(&self) -> Span {
        let start = self.line.source_offset(self.base);
        let end = self.line.source_end(self.base, self.base + self.text.len());
        self.source.span(start, end)
    }

    /// The text as it stands, with its span.
    pub(crate) fn word(&self) -> Word {
        self.valued(self.text.to_owned())
    }

    /// Another value (unquoted, decoded) with this piece's span.
    pub(crate) fn valued(&self, value: String) -> Word {
        Spanned { value, span: self.span() }
    }

    /// Splits at the first `c`; the second part is without it.
    pub(crate) fn split_at_first(&self, c: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let at = self.text.find(c)?;
        Some((self.part(0, at), self.from(at + c.len_utf8())))
    }
}
