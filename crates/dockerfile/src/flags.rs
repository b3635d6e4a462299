//! `--flag=value` between an instruction's word and its arguments.

use crate::ast::{Flag, Word};
use crate::diagnostic::Diagnostic;
use crate::pieces::Piece;
use crate::span::Spanned;
use crate::suggest::nearest;

/// Takes the flags off the front. Returns them and the rest, untrimmed.
///
/// Quotes may surround all or part of a flag, and `\` escapes (always `\`, whatever the escape directive says).
/// A lone `--` ends the flags.
pub(crate) fn split_flags(text: Piece<'_>) -> (Vec<Flag>, Piece<'_>) {
    let mut flags = Vec::new();
    let mut rest = text;
    loop {
        let start = rest.text.len() - rest.text.trim_start().len();
        rest = rest.from(start);
        if !rest.text.starts_with("--") {
            return (flags, rest);
        }
        let (end, decoded, equals) = flag_word(rest.text);
        let raw = rest.part(0, end);
        rest = rest.from(end);
        if decoded == "--" {
            return (flags, rest);
        }
        flags.push(make_flag(raw, &decoded, equals));
    }
}

/// The end of the flag at the start of `text`, its unquoted value, and the raw offset of its first `=`.
fn flag_word(text: &str) -> (usize, String, Option<usize>) {
    let mut decoded = String::new();
    let mut equals = None;
    let mut quote: Option<char> = None;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match quote {
            None if c.is_whitespace() => return (at, decoded, equals),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ if c == '\\' => decoded.extend(characters.next().map(|(_, c)| c)),
            _ => {
                if c == '=' && equals.is_none() {
                    equals = Some(at);
                }
                decoded.push(c);
            }
        }
    }
    (text.len(), decoded, equals)
}

fn make_flag(raw: Piece<'_>, decoded: &str, equals: Option<usize>) -> Flag {
    let inner = decoded.strip_prefix("--").unwrap_or(decoded);
    let (name, value) = match inner.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (inner, None),
    };
    let name_end = equals.unwrap_or(raw.text.len());
    Flag {
        name: raw.part(2.min(raw.text.len()), name_end).valued(name.to_owned()),
        value: value.map(|v| Spanned { value: v.to_owned(), span: raw.from(name_end + 1).span() }),
        span: raw.span(),
    }
}

/// The flags of one instruction while they are being understood: each known name is asked for once, and
/// [`FlagReader::finish`] complains about the others.
pub(crate) struct FlagReader<'f> {
    instruction: &'static str,
    flags: &'f [Flag],
    known: Vec<&'static str>,
    diagnostics: &'f mut Vec<Diagnostic>,
}

impl<'f> FlagReader<'f> {
    pub(crate) fn new(
        instruction: &'static str,
        flags: &'f [Flag],
        diagnostics: &'f mut Vec<Diagnostic>,
    ) -> FlagReader<'f> {
        FlagReader { instruction, flags, known: Vec::new(), diagnostics }
    }

    /// All values of a flag that may be repeated.
    pub(crate) fn strings(&mut self, name: &'static str) -> Vec<Word> {
        self.known.push(name);
        let mut out = Vec::new();
        for flag in self.flags.iter().filter(|f| f.name.value == name) {
            match &flag.value {
                Some(value) => out.push(value.clone()),
                None => self.diagnostics.push(
                    Diagnostic::error("flag-value", flag.span, format!("the flag `--{name}` needs a value"))
                        .help(format!("write `--{name}=…`")),
                ),
            }
        }
        out
    }

    /// The value of a flag that may be given once.
    pub(crate) fn string(&mut self, name: &'static str) -> Option<Word> {
        self.only_once(name);
        self.strings(name).into_iter().next()
    }

    /// `--name`, `--name=true` or `--name=false`.
    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.only_once(name);
        self.known.push(name);
        let flag = self.flags.iter().find(|f| f.name.value == name)?;
        let value = flag.value.as_ref().map_or("true".to_owned(), |v| v.value.to_ascii_lowercase());
        match value.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let message = format!("the flag `--{name}` is `true` or `false`, not `{other}`");
                self.diagnostics.push(Diagnostic::error("flag-value", flag.span, message));
                None
            }
        }
    }

    fn only_once(&mut self, name: &'static str) {
        if let Some(second) = self.flags.iter().filter(|f| f.name.value == name).nth(1) {
            let message = format!("the flag `--{name}` is given twice");
            self.diagnostics.push(Diagnostic::error("duplicate-flag", second.span, message));
        }
    }

    /// Complains about every flag nobody asked for.
    pub(crate) fn finish(self) {
        for flag in self.flags.iter().filter(|f| !self.known.contains(&f.name.value.as_str())) {
            let message = format!("`{}` has no flag `--{}`", self.instruction, flag.name.value);
            let mut diagnostic = Diagnostic::error("unknown-flag", flag.span, message);
            if let Some(near) = nearest(&flag.name.value, self.known.iter().copied()) {
                diagnostic = diagnostic.help(format!("did you mean `--{near}`?"));
            } else if !self.known.is_empty() {
                let all: Vec<String> = self.known.iter().map(|k| format!("`--{k}`")).collect();
                diagnostic = diagnostic.help(format!("it knows {}", all.join(", ")));
            }
            self.diagnostics.push(diagnostic);
        }
    }
}
