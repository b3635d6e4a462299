//! The whole file.

use crate::ast::{Dockerfile, Heredoc, Instruction, Kind, Stage};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::heredoc::Marker;
use crate::instruction::{self, Context, Head};
use crate::logical::{Lines, Logical};
use crate::pieces::Piece;
use crate::span::{SourceMap, Span};

/// Largest file that is read, in bytes. Twelve times the longest line; BuildKit stops at less.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// Errors after which the rest is not reported: a binary file would fill the screen.
const MAX_ERRORS: usize = 200;

/// What a lenient parse gives.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// All that could be understood.
    pub dockerfile: Dockerfile,
    /// All that could not, and warnings, in file order.
    pub diagnostics: Diagnostics,
}

/// Reads a whole Dockerfile. `file` is its name for messages.
///
/// Errors: all of the file's mistakes. Warnings alone are no error; they are in [`Dockerfile::warnings`].
pub fn parse(bytes: &[u8], file: &str) -> Result<Dockerfile, Diagnostics> {
    let mut parsed = parse_fragment(bytes, file);
    let structure = structure(&parsed.dockerfile, &parsed.diagnostics);
    parsed.diagnostics.items.extend(structure);
    parsed.diagnostics.items.sort_by_key(|d| d.span.start);
    if !parsed.diagnostics.is_ok() {
        return Err(parsed.diagnostics);
    }
    parsed.dockerfile.warnings = parsed.diagnostics.items;
    Ok(parsed.dockerfile)
}

/// Reads what may be only a part of a Dockerfile: `FROM` may be missing. Gives everything that could be understood
/// beside everything that could not.
pub fn parse_fragment(bytes: &[u8], file: &str) -> Parsed {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let refused = refuse(bytes);
    let text = if refused.is_some() {
        String::from_utf8_lossy(bytes.get(..1 << 16).unwrap_or(bytes))
    } else {
        String::from_utf8_lossy(bytes)
    };
    let source = SourceMap::new(&text);
    let mut parsed = match refused {
        Some((offset, code, message)) => {
            let place = source.position(offset);
            let diagnostic = Diagnostic::error(code, Span { start: place, end: place }, message);
            Parsed { dockerfile: empty(file, &source), diagnostics: collect(file, &source, vec![diagnostic]) }
        }
        None => read(&text, &source, file, None),
    };
    parsed.dockerfile.warnings =
        parsed.diagnostics.items.iter().filter(|d| d.severity == Severity::Warning).cloned().collect();
    parsed
}

/// Reads one instruction that stands alone: an `ONBUILD` trigger from an image's configuration.
pub fn parse_instruction(text: &str, file: &str, escape: char) -> Result<Instruction, Diagnostics> {
    let source = SourceMap::new(text);
    let mut parsed = read(text, &source, file, Some(escape));
    if parsed.diagnostics.is_ok()
        && parsed.dockerfile.instructions.len() == 1
        && let Some(instruction) = parsed.dockerfile.instructions.pop()
    {
        return Ok(instruction);
    }
    if parsed.diagnostics.is_ok() {
        let span = source.span(0, text.len());
        parsed.diagnostics.items.push(Diagnostic::error("one-instruction", span, "expected one instruction"));
    }
    Err(parsed.diagnostics)
}

/// What makes a file unreadable as a whole: its place and reason.
fn refuse(bytes: &[u8]) -> Option<(usize, &'static str, String)> {
    if bytes.len() > MAX_FILE_BYTES {
        return Some((0, "file-too-long", format!("the file is longer than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Some((at, "nul-byte", "the file holds a NUL byte: it is not text".to_owned()));
    }
    let error = std::str::from_utf8(bytes).err()?;
    let at = error.valid_up_to();
    let byte = bytes.get(at).copied().unwrap_or_default();
    Some((at, "invalid-utf8", format!("the byte 0x{byte:02x} is not valid UTF-8")))
}

fn empty(file: &str, source: &SourceMap) -> Dockerfile {
    Dockerfile {
        file: file.to_owned(),
        text: source.shared_text(),
        escape: '\\',
        directives: Vec::new(),
        comments: Vec::new(),
        instructions: Vec::new(),
        stages: Vec::new(),
        warnings: Vec::new(),
    }
}

fn collect(file: &str, source: &SourceMap, mut items: Vec<Diagnostic>) -> Diagnostics {
    items.sort_by_key(|d| d.span.start);
    Diagnostics { file: file.to_owned(), text: source.shared_text(), items }
}

fn read(text: &str, source: &SourceMap, file: &str, escape: Option<char>) -> Parsed {
    let mut lines = Lines::new(text, source, escape);
    let mut dockerfile = empty(file, source);
    let mut diagnostics = Vec::new();
    while let Some(line) = lines.logical() {
        let Some(head) = Head::split(Piece::whole(&line, source)) else { continue };
        let heredocs = bodies(head.heredoc_markers(), &mut lines, source, &line, &mut diagnostics);
        let mut context = Context { escape: lines.escape, diagnostics: &mut diagnostics };
        if let Some(instruction) = instruction::read(&head, heredocs, line.comments.clone(), &mut context) {
            add(&mut dockerfile, instruction);
        }
        if diagnostics.iter().filter(|d| d.severity == Severity::Error).count() >= MAX_ERRORS {
            let place = source.position(line.end);
            let message = format!("stopped after {MAX_ERRORS} errors");
            diagnostics.push(Diagnostic::error("too-many-errors", Span { start: place, end: place }, message));
            break;
        }
    }
    dockerfile.escape = lines.escape;
    dockerfile.directives = std::mem::take(&mut lines.directives);
    dockerfile.comments = std::mem::take(&mut lines.comments);
    diagnostics.append(&mut lines.diagnostics);
    Parsed { dockerfile, diagnostics: collect(file, source, diagnostics) }
}

fn add(dockerfile: &mut Dockerfile, instruction: Instruction) {
    let index = dockerfile.instructions.len();
    if let Kind::From(from) = &instruction.kind {
        let name = from.name.as_ref().map(|n| n.value.to_lowercase());
        dockerfile.stages.push(Stage { index: dockerfile.stages.len(), name, instructions: index..index });
    }
    if let Some(stage) = dockerfile.stages.last_mut() {
        stage.instructions.end = index + 1;
    }
    dockerfile.instructions.push(instruction);
}

/// Reads the bodies that `markers` announce.
fn bodies(
    markers: Vec<Marker>,
    lines: &mut Lines<'_>,
    source: &SourceMap,
    line: &Logical,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Heredoc> {
    let mut out = Vec::new();
    for marker in markers {
        let start = lines.offset();
        let mut content = String::new();
        let mut end = start.max(line.end);
        let mut terminated = false;
        while let Some((raw, at)) = lines.raw() {
            let candidate = raw.trim_end_matches(['\r', '\n']);
            let candidate = if marker.chomp { candidate.trim_start_matches('\t') } else { candidate };
            if candidate == marker.name {
                terminated = true;
                break;
            }
            content.push_str(raw);
            end = at + raw.len();
        }
        if !terminated {
            let message = format!("the heredoc `{}` has no end", instruction::abbreviate(&marker.name));
            diagnostics.push(
                Diagnostic::error("unterminated-heredoc", marker.word.span, message)
                    .help(format!("a line that holds `{}` alone ends it", instruction::abbreviate(&marker.name))),
            );
        }
        out.push(Heredoc {
            name: marker.name,
            marker: marker.word,
            content,
            body: source.span(start, end),
            chomp: marker.chomp,
            expand: marker.expand,
            descriptor: marker.descriptor,
        });
    }
    out
}

/// Rules about the file as a whole.
fn structure(dockerfile: &Dockerfile, diagnostics: &Diagnostics) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    if dockerfile.instructions.is_empty() && diagnostics.is_ok() {
        out.push(Diagnostic::error("no-instructions", Span::default_start(), "the file holds no instructions"));
        return out;
    }
    for instruction in dockerfile.preamble() {
        if !matches!(instruction.kind, Kind::Arg(_)) {
            let message = format!("`{}` stands before the first `FROM`", instruction.name());
            out.push(
                Diagnostic::error("before-from", instruction.keyword.span, message)
                    .help("only `ARG` may stand before `FROM`"),
            );
            break;
        }
    }
    // A misspelt `FROM` was reported already, and everything after it would follow from that.
    if dockerfile.stages.is_empty() && out.is_empty() && diagnostics.is_ok() {
        let end = dockerfile.instructions.last().map_or(Span::default_start(), |i| i.keyword.span);
        out.push(Diagnostic::error("no-stage", end, "the file has no `FROM`").help("begin with `FROM image`"));
    }
    if dockerfile.stages.is_empty() && !diagnostics.is_ok() {
        out.clear();
    }
    out
}
