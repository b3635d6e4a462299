//! From a logical line to a typed instruction.

mod copy;
mod health;
mod run;
mod simple;

use crate::ast::{Flag, Heredoc, Instruction, Kind, Word};
use crate::diagnostic::Diagnostic;
use crate::flags::{FlagReader, split_flags};
use crate::heredoc::{Marker, markers};
use crate::json::{self, JsonForm};
use crate::pieces::Piece;
use crate::span::Span;
use crate::suggest::nearest;
use crate::words::is_separator;

/// Every instruction word.
pub(crate) const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// A line taken apart, before its meaning is known.
pub(crate) struct Head<'a> {
    keyword: Piece<'a>,
    upper: String,
    flags: Vec<Flag>,
    /// After the flags, trimmed.
    arguments: Piece<'a>,
    /// The whole, trimmed.
    whole: Piece<'a>,
}

impl<'a> Head<'a> {
    /// Splits `line` into instruction word, flags and arguments. `None` for an empty line.
    pub(crate) fn split(line: Piece<'a>) -> Option<Head<'a>> {
        let whole = line.trim();
        if whole.text.is_empty() {
            return None;
        }
        let end = whole.text.find(is_separator).unwrap_or(whole.text.len());
        let keyword = whole.part(0, end);
        let (flags, arguments) = split_flags(whole.from(end));
        let upper = keyword.text.to_uppercase();
        Some(Head { keyword, upper, flags, arguments: arguments.trim(), whole })
    }

    /// The heredocs whose bodies follow this line: only `RUN`, `COPY`, `ADD`, and these behind `ONBUILD`, have any,
    /// and never with a JSON array.
    pub(crate) fn heredoc_markers(&self) -> Vec<Marker> {
        let takes = |word: &str| matches!(word, "RUN" | "COPY" | "ADD");
        let inner = if self.upper == "ONBUILD" { Head::split(self.arguments) } else { None };
        let (word, arguments) = match &inner {
            Some(head) => (head.upper.as_str(), head.arguments),
            None => (self.upper.as_str(), self.arguments),
        };
        if !takes(word) || matches!(json::read(arguments), JsonForm::Words(_)) {
            return Vec::new();
        }
        markers(self.whole)
    }
}

/// What the readers of single instructions share.
pub(crate) struct Context<'c> {
    pub(crate) escape: char,
    pub(crate) diagnostics: &'c mut Vec<Diagnostic>,
}

impl Context<'_> {
    fn error<T>(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Option<T> {
        self.diagnostics.push(Diagnostic::error(code, span, message));
        None
    }
}

/// The arguments of one instruction.
pub(crate) struct Input<'a, 'c> {
    name: &'static str,
    keyword: Span,
    arguments: Piece<'a>,
    flags: &'c [Flag],
    heredocs: &'c [Heredoc],
}

/// Understands one line. `None` after a diagnostic.
pub(crate) fn read(
    head: &Head<'_>,
    heredocs: Vec<Heredoc>,
    comments: std::ops::Range<usize>,
    context: &mut Context<'_>,
) -> Option<Instruction> {
    let Some(name) = INSTRUCTIONS.into_iter().find(|n| *n == head.upper) else {
        let message = format!("unknown instruction `{}`", abbreviate(head.keyword.text));
        let mut diagnostic = Diagnostic::error("unknown-instruction", head.keyword.span(), message);
        if let Some(near) = nearest(&head.upper, INSTRUCTIONS) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        context.diagnostics.push(diagnostic);
        return None;
    };
    let input = Input {
        name,
        keyword: head.keyword.span(),
        arguments: head.arguments,
        flags: &head.flags,
        heredocs: &heredocs,
    };
    let kind = kind(&input, context)?;
    let end = heredocs.last().map_or(head.whole.span().end, |h| h.body.end);
    Some(Instruction {
        keyword: head.keyword.word(),
        span: Span { start: head.keyword.span().start, end },
        flags: head.flags.clone(),
        arguments: head.arguments.word(),
        original: head.whole.text.to_owned(),
        heredocs,
        comments,
        kind,
    })
}

fn kind(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    match input.name {
        "ADD" => copy::add(input, context),
        "ARG" => simple::arg(input, context),
        "CMD" => run::command(input, context).map(Kind::Cmd),
        "COPY" => copy::copy(input, context),
        "ENTRYPOINT" => run::command(input, context).map(Kind::Entrypoint),
        "ENV" => simple::pairs(input, context).map(Kind::Env),
        "EXPOSE" => simple::expose(input, context),
        "FROM" => simple::from(input, context),
        "HEALTHCHECK" => health::healthcheck(input, context),
        "LABEL" => simple::pairs(input, context).map(Kind::Label),
        "MAINTAINER" => simple::maintainer(input, context),
        "ONBUILD" => simple::onbuild(input, context),
        "RUN" => run::run(input, context),
        "SHELL" => simple::shell(input, context),
        "STOPSIGNAL" => simple::whole(input, context).map(Kind::Stopsignal),
        "USER" => simple::whole(input, context).map(Kind::User),
        "VOLUME" => simple::volume(input, context),
        _ => simple::whole(input, context).map(Kind::Workdir),
    }
}

impl<'a> Input<'a, '_> {
    /// Complains about flags on an instruction that has none.
    fn no_flags(&self, context: &mut Context<'_>) {
        FlagReader::new(self.name, self.flags, context.diagnostics).finish();
    }

    /// The place to blame when arguments are missing.
    fn place(&self) -> Span {
        if self.arguments.text.is_empty() { self.keyword } else { self.arguments.span() }
    }

    /// The arguments as a JSON array, or `None` when they are none. `Err` after a diagnostic.
    fn json(&self, context: &mut Context<'_>) -> Result<Option<Vec<Word>>, ()> {
        match json::read(self.arguments) {
            JsonForm::Words(words) => Ok(Some(words)),
            JsonForm::NotStrings => {
                let message = format!("the JSON array of `{}` holds something else than strings", self.name);
                context.diagnostics.push(
                    Diagnostic::error("json-not-strings", self.arguments.span(), message)
                        .help("put every element in double quotes"),
                );
                Err(())
            }
            JsonForm::No => {
                if self.arguments.text.starts_with('[') && self.arguments.text.ends_with(']') {
                    let message = format!("not valid JSON: `{}` takes this for plain text", self.name);
                    context.diagnostics.push(
                        Diagnostic::warning("invalid-json", self.arguments.span(), message)
                            .help("JSON strings stand in double quotes, with commas between them"),
                    );
                }
                Ok(None)
            }
        }
    }
}

/// A word from a file for a message: short, on one line.
pub(crate) fn abbreviate(text: &str) -> String {
    let mut out: String = text.chars().take(60).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}
