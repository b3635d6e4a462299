//! From lines of a file to logical lines: comments out, continuations joined, every byte's origin kept.

use std::ops::Range;

use crate::ast::{Comment, Directive};
use crate::diagnostic::Diagnostic;
use crate::span::{SourceMap, Spanned};

/// One instruction's text in one line.
pub(crate) struct Logical {
    pub(crate) text: String,
    /// (offset in `text`, offset in the file) of each joined stretch, ascending.
    segments: Vec<(usize, usize)>,
    /// Comment lines right before it, as indices into [`Lines::comments`].
    pub(crate) comments: Range<usize>,
    /// End of its last physical line in the file, without the line end.
    pub(crate) end: usize,
}

impl Logical {
    fn segment(&self, offset: usize) -> (usize, usize) {
        let at = self.segments.partition_point(|(logical, _)| *logical <= offset);
        self.segments.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Where byte `offset` of the line stands in the file.
    pub(crate) fn source_offset(&self, offset: usize) -> usize {
        let (logical, source) = self.segment(offset);
        source + (offset - logical.min(offset))
    }

    /// Where the stretch `start..end` ends in the file: after its last byte, not at the start of the next line.
    pub(crate) fn source_end(&self, start: usize, end: usize) -> usize {
        if end <= start {
            return self.source_offset(start);
        }
        self.source_offset(end - 1) + 1
    }
}

/// A reader of physical lines.
pub(crate) struct Lines<'a> {
    text: &'a str,
    source: &'a SourceMap,
    /// Offset of the next unread byte.
    at: usize,
    pub(crate) escape: char,
    pub(crate) directives: Vec<Directive>,
    /// Still at the top, where `# name=value` is a directive.
    directives_possible: bool,
    pub(crate) comments: Vec<Comment>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// One physical line.
struct Physical<'a> {
    /// Without the line end.
    text: &'a str,
    start: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str, source: &'a SourceMap, escape: Option<char>) -> Lines<'a> {
        Lines {
            text,
            source,
            at: 0,
            escape: escape.unwrap_or('\\'),
            directives: Vec::new(),
            directives_possible: escape.is_none(),
            comments: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    fn physical(&mut self) -> Option<Physical<'a>> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|r| !r.is_empty())?;
        let length = rest.find('\n').map_or(rest.len(), |i| i + 1);
        self.at = start + length;
        let line = rest.get(..length)?.trim_end_matches('\n');
        Some(Physical { text: line.strip_suffix('\r').unwrap_or(line), start })
    }

    /// A line of a heredoc with its line end, and its offset.
    pub(crate) fn raw(&mut self) -> Option<(&'a str, usize)> {
        let start = self.at;
        self.physical()?;
        Some((self.text.get(start..self.at)?, start))
    }

    /// Offset of the next unread byte.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The next instruction's line, or `None` at the end of the file.
    pub(crate) fn logical(&mut self) -> Option<Logical> {
        let mut first_comment = self.comments.len();
        loop {
            let line = self.physical()?;
            let indent = line.text.len() - line.text.trim_start().len();
            let body = line.text.get(indent..).unwrap_or_default();
            if body.starts_with('#') {
                self.comment_or_directive(body, line.start + indent);
                continue;
            }
            self.directives_possible = false;
            let (body, continued) = self.trim_continuation(body);
            if body.is_empty() && !continued {
                // A blank line separates a comment from what follows it.
                first_comment = self.comments.len();
                continue;
            }
            return Some(self.join(body, line.start + indent, continued, first_comment));
        }
    }

    fn join(&mut self, body: &str, start: usize, mut continued: bool, first_comment: usize) -> Logical {
        let mut logical = Logical {
            text: body.to_owned(),
            segments: vec![(0, start)],
            comments: first_comment..self.comments.len(),
            end: start + body.len(),
        };
        let mut blank: Option<usize> = None;
        while continued {
            let Some(line) = self.physical() else { break };
            let trimmed = line.text.trim_start();
            let indent = line.text.len() - trimmed.len();
            if trimmed.starts_with('#') {
                self.push_comment(trimmed, line.start + indent);
                continue;
            }
            if trimmed.is_empty() {
                blank.get_or_insert(line.start);
                continue;
            }
            let (part, more) = self.trim_continuation(line.text);
            continued = more;
            logical.segments.push((logical.text.len(), line.start));
            logical.text.push_str(part);
            logical.end = line.start + part.len();
        }
        if let Some(at) = blank {
            self.diagnostics.push(
                Diagnostic::warning(
                    "empty-continuation",
                    self.source.span(at, at),
                    "empty line inside a continued instruction",
                )
                .help("remove the line, or begin it with `#`"),
            );
        }
        logical
    }

    /// The text before a continuation mark, and whether there was one. The mark is the escape character, not itself
    /// escaped, followed by nothing but spaces and tabs.
    fn trim_continuation<'t>(&self, line: &'t str) -> (&'t str, bool) {
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.escape) {
            Some(before) if !before.ends_with(self.escape) => (before, true),
            _ => (line, false),
        }
    }

    fn push_comment(&mut self, body: &str, at: usize) {
        let span = self.source.span(at, at + body.trim_end().len());
        let text = body.strip_prefix('#').unwrap_or(body).trim().to_owned();
        self.comments.push(Comment { text, span });
    }

    fn comment_or_directive(&mut self, body: &str, at: usize) {
        // `#!` in the first line is an interpreter line, not yet the end of the directives.
        if self.directives_possible && at == 0 && body.starts_with("#!") {
            return self.push_comment(body, at);
        }
        let directive = if self.directives_possible { self.directive(body, at) } else { None };
        let Some(directive) = directive else {
            self.directives_possible = false;
            return self.push_comment(body, at);
        };
        if self.directives.iter().any(|d| d.name.value == directive.name.value) {
            let message = format!("the directive `{}` is given twice", directive.name.value);
            self.diagnostics.push(Diagnostic::error("duplicate-directive", directive.span, message));
            return;
        }
        if directive.name.value == "escape" {
            match directive.value.value.as_str() {
                "\\" => self.escape = '\\',
                "`" => self.escape = '`',
                other => {
                    let message = format!("the escape character must be `\\` or `` ` ``, not `{other}`");
                    self.diagnostics.push(Diagnostic::error("invalid-escape", directive.value.span, message));
                }
            }
        }
        self.directives.push(directive);
    }

    /// `# name = value` with a known name.
    fn directive(&self, body: &str, at: usize) -> Option<Directive> {
        let inner = body.strip_prefix('#')?;
        let equals = inner.find('=')?;
        let (name, value) = (inner.get(..equals)?, inner.get(equals + 1..)?);
        let known = ["syntax", "escape", "check"];
        let lower = name.trim().to_ascii_lowercase();
        if !known.contains(&lower.as_str()) || value.trim().is_empty() {
            return None;
        }
        let place = |part: &str, from: usize| {
            let start = from + (part.len() - part.trim_start().len());
            self.source.span(start, start + part.trim().len())
        };
        Some(Directive {
            name: Spanned { value: lower, span: place(name, at + 1) },
            value: Spanned { value: value.trim().to_owned(), span: place(value, at + 1 + equals + 1) },
            span: self.source.span(at, at + body.trim_end().len()),
        })
    }
}
