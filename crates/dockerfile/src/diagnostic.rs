//! What is wrong with a file, and the picture that shows where.

use std::fmt;
use std::sync::Arc;

use crate::span::Span;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be built.
    Error,
    /// It can, but something in it is not what it seems.
    Warning,
}

/// One message with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable name in kebab case: `unknown-instruction`.
    pub code: &'static str,
    /// Where.
    pub span: Span,
    /// What, in one line, with the words of the file in backticks.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Error, code, span, message: message.into(), help: None }
    }

    /// A warning at `span`.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, code, span, message: message.into(), help: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// `FILE:LINE:COL: error: message`, then the line with carets under the place, then the advice.
    pub fn render(&self, file: &str, text: &str) -> String {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!("{file}:{}: {kind}: {}\n", self.span.start, self.message);
        out.push_str(&snippet(text, self.span));
        if let Some(help) = &self.help {
            out.push_str(&format!("  help: {help}\n"));
        }
        out
    }
}

/// Everything that is wrong with one file, in file order. Not empty when returned as an error.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    /// Name for messages.
    pub file: String,
    /// The file's text (invalid bytes replaced), for the snippets.
    pub text: Arc<str>,
    /// Errors and warnings.
    pub items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The errors only.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter().filter(|d| d.severity == Severity::Error)
    }

    /// True when nothing is an error.
    pub fn is_ok(&self) -> bool {
        self.errors().next().is_none()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for item in self.errors() {
            if !first {
                writeln!(f)?;
            }
            first = false;
            f.write_str(item.render(&self.file, &self.text).trim_end())?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Widest excerpt of a line in a message, in characters: fits a terminal beside the line number.
const SNIPPET_COLUMNS: usize = 100;

/// The line of `span` and carets below it. A long line is cut around the place; control characters are replaced.
fn snippet(text: &str, span: Span) -> String {
    let offset = span.start.offset.min(text.len());
    let start = text.get(..offset).map_or(0, |before| before.rfind('\n').map_or(0, |at| at + 1));
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let column = span.start.column.saturating_sub(1) as usize;
    let same_line = span.end.line == span.start.line;
    // Twice the width is enough to fill the window whatever its start.
    let window = column.saturating_sub(SNIPPET_COLUMNS / 2);
    let from = if column < SNIPPET_COLUMNS * 3 / 4 { 0 } else { window };
    let shown: String = skip_characters(line, start, offset, column, from).take(SNIPPET_COLUMNS).map(visible).collect();
    if shown.trim().is_empty() {
        return String::new();
    }
    let length = shown.chars().count();
    let caret_at = (column - from).min(length);
    let wanted = if same_line { (span.end.column.saturating_sub(span.start.column)) as usize } else { length };
    let carets = wanted.clamp(1, (length - caret_at).max(1));
    let number = span.start.line.to_string();
    let gutter = " ".repeat(number.len());
    let lead = if from > 0 { "…" } else { "" };
    let pad = " ".repeat(caret_at + lead.chars().count());
    format!(" {number} | {lead}{}\n {gutter} | {pad}{}\n", shown.trim_end(), "^".repeat(carets))
}

/// The characters of `line` from column `from` on, without counting from the start of a very long line:
/// `offset` is the byte of `column`, so the search goes backwards from there.
fn skip_characters(
    line: &str,
    line_start: usize,
    offset: usize,
    column: usize,
    from: usize,
) -> impl Iterator<Item = char> {
    let at = offset.saturating_sub(line_start).min(line.len());
    let back = column.saturating_sub(from);
    let head = line.get(..at).unwrap_or_default();
    let begin = if back == 0 { at } else { head.char_indices().rev().nth(back - 1).map_or(0, |(i, _)| i) };
    line.get(begin..).unwrap_or_default().chars()
}

fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        '\0' => '␀',
        c if c.is_control() => '\u{FFFD}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::SourceMap;

    fn at(text: &str, start: usize, end: usize) -> String {
        Diagnostic::error("x", SourceMap::new(text).span(start, end), "m").help("h").render("Dockerfile", text)
    }

    #[test]
    fn carets_stand_under_the_place() {
        let text = "FROM a\nRUNN b\n";
        assert_eq!(at(text, 7, 11), "Dockerfile:2:1: error: m\n 2 | RUNN b\n   | ^^^^\n  help: h\n");
        assert_eq!(at("é xx", 3, 5), "Dockerfile:1:3: error: m\n 1 | é xx\n   |   ^^\n  help: h\n");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}BAD{}", "a".repeat(1_000_000), "b".repeat(1_000_000));
        let shown = at(&text, 1_000_000, 1_000_003);
        assert!(shown.len() < 600, "{shown}");
        let mut lines = shown.lines().skip(1);
        let (line, carets) = (lines.next().unwrap(), lines.next().unwrap());
        let column = carets.chars().position(|c| c == '^').unwrap();
        assert_eq!(line.chars().skip(column).take(3).collect::<String>(), "BAD");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!at("a\u{1b}[31m b", 0, 1).contains('\u{1b}'));
    }
}
