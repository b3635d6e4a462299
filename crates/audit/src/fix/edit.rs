//! Replacements in a text, found by their bytes and made all at once.

use std::ops::Range;

/// Some bytes of a text and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    pub(crate) with: String,
}

impl Edit {
    pub(crate) fn new(range: Range<usize>, with: impl Into<String>) -> Edit {
        Edit { range, with: with.into() }
    }

    pub(crate) fn insert(at: usize, with: impl Into<String>) -> Edit {
        Edit::new(at..at, with)
    }
}

/// Makes all edits; none if two of them meet or one reaches past the text.
pub(crate) fn apply(text: &str, mut edits: Vec<Edit>) -> Result<String, String> {
    edits.sort_by_key(|e| (e.range.start, e.range.end));
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for edit in edits {
        let kept = text.get(at..edit.range.start).ok_or("two changes of the file would meet")?;
        text.get(edit.range.clone()).ok_or("a change reaches past the file")?;
        out.push_str(kept);
        out.push_str(&edit.with);
        at = edit.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(out)
}

/// Where the line of a byte begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1)
}

/// Where the line of a byte ends, before its line break.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    let end = text.get(at..).and_then(|t| t.find('\n')).map_or(text.len(), |i| at + i);
    if end > at && text.get(..end).is_some_and(|t| t.ends_with('\r')) { end - 1 } else { end }
}

/// Where the line after the one of a byte begins.
pub(crate) fn next_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|t| t.find('\n')).map_or(text.len(), |i| at + i + 1)
}

/// The line break that a text uses.
pub(crate) fn line_break(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_made_together_or_not_at_all() {
        let edits = vec![Edit::new(4..5, "X"), Edit::insert(0, ">"), Edit::new(1..2, "")];
        assert_eq!(apply("abcde", edits).unwrap(), ">acdX");
        assert!(apply("abc", vec![Edit::new(0..2, ""), Edit::new(1..3, "")]).is_err());
        assert!(apply("abc", vec![Edit::new(2..9, "")]).is_err());
    }

    #[test]
    fn lines_are_found_by_any_byte() {
        let text = "ab\r\ncd\nef";
        assert_eq!((line_start(text, 5), line_end(text, 1), next_line(text, 1)), (4, 2, 4));
        assert_eq!((line_end(text, 8), next_line(text, 8)), (9, 9));
        assert_eq!(line_break(text), "\r\n");
    }
}
