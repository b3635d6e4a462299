//! The instructions with plain arguments.

use super::{Context, Head, Input, abbreviate, read};
use crate::ast::{ArgDeclaration, From, Kind, Pair, Word};
use crate::diagnostic::Diagnostic;
use crate::flags::FlagReader;
use crate::words::{is_separator, split_plain, split_quoted};

/// One argument: everything on the line (`USER`, `WORKDIR`, `STOPSIGNAL`).
pub(super) fn whole(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Word> {
    input.no_flags(context);
    if input.arguments.text.is_empty() {
        return context.error("missing-argument", input.place(), format!("`{}` needs an argument", input.name));
    }
    Some(input.arguments.word())
}

pub(super) fn maintainer(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    let word = whole(input, context)?;
    context.diagnostics.push(
        Diagnostic::warning("maintainer-deprecated", input.keyword, "`MAINTAINER` is deprecated")
            .help("write `LABEL org.opencontainers.image.authors=\"…\"`"),
    );
    Some(Kind::Maintainer(word))
}

pub(super) fn from(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    let mut flags = FlagReader::new(input.name, input.flags, context.diagnostics);
    let platform = flags.string("platform");
    flags.finish();
    let words = split_plain(input.arguments);
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, r#as, name] if r#as.text.eq_ignore_ascii_case("as") => (image, Some(name)),
        [_, word, _] => {
            let message = format!("`FROM` has `AS` between image and name, not `{}`", abbreviate(word.text));
            return context.error("from-arguments", word.span(), message);
        }
        _ => {
            let message = "`FROM` takes an image, or an image, `AS` and a name";
            return context.error("from-arguments", input.place(), message);
        }
    };
    if let Some(name) = name.filter(|n| !is_stage_name(&n.text.to_lowercase())) {
        let message = format!("`{}` is no name for a stage", abbreviate(name.text));
        context.diagnostics.push(
            Diagnostic::error("stage-name", name.span(), message)
                .help("a letter first, then letters, digits, `-`, `_` and `.`"),
        );
        return None;
    }
    Some(Kind::From(From { image: image.word(), name: name.map(|n| n.word()), platform }))
}

fn is_stage_name(lower: &str) -> bool {
    lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}

pub(super) fn arg(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    input.no_flags(context);
    let mut out = Vec::new();
    for word in split_quoted(input.arguments, context.escape) {
        let (name, value) = match word.split_at_first('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        if name.text.is_empty() {
            context.error::<()>("blank-name", word.span(), "`ARG` needs a name before `=`");
            continue;
        }
        out.push(ArgDeclaration { name: name.word(), value: value.map(|v| v.word()) });
    }
    if out.is_empty() {
        return context.error("missing-argument", input.place(), "`ARG` needs a name");
    }
    Some(Kind::Arg(out))
}

/// `ENV` and `LABEL`: `k=v k=v …`, or the old `k everything else`.
pub(super) fn pairs(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Vec<Pair>> {
    input.no_flags(context);
    let name = input.name;
    let words = split_quoted(input.arguments, context.escape);
    let Some(first) = words.first() else {
        return context.error("missing-argument", input.place(), format!("`{name}` needs `name=value`"));
    };
    if !first.text.contains('=') {
        let text = input.arguments;
        let Some(end) = text.text.find(is_separator) else {
            context.diagnostics.push(
                Diagnostic::error("missing-value", text.span(), format!("`{name}` needs a name and a value"))
                    .help(format!("write `{name} {}=…`", abbreviate(text.text))),
            );
            return None;
        };
        let value = text.from(end);
        let skipped = value.text.len() - value.text.trim_start_matches(is_separator).len();
        let pair = Pair { key: text.part(0, end).word(), value: value.from(skipped).word(), legacy: true };
        context.diagnostics.push(
            Diagnostic::warning("legacy-key-value", text.span(), format!("`{name} key value` is the old form"))
                .help(format!("write `{name} {}=…`", abbreviate(&pair.key))),
        );
        return Some(vec![pair]);
    }
    let mut out = Vec::new();
    for word in words {
        match word.split_at_first('=') {
            Some((key, _)) if key.text.is_empty() => {
                context.error::<()>("blank-name", word.span(), format!("`{name}` needs a name before `=`"));
            }
            Some((key, value)) => out.push(Pair { key: key.word(), value: value.word(), legacy: false }),
            None => {
                context.diagnostics.push(
                    Diagnostic::error("missing-equals", word.span(), format!("`{}` has no `=`", abbreviate(word.text)))
                        .help("write `name=value`, with quotes around a value that holds spaces"),
                );
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

pub(super) fn expose(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    input.no_flags(context);
    let words = split_plain(input.arguments);
    if words.is_empty() {
        return context.error("missing-argument", input.place(), "`EXPOSE` needs a port");
    }
    Some(Kind::Expose(words.iter().map(|w| w.word()).collect()))
}

pub(super) fn volume(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    input.no_flags(context);
    let words = match input.json(context).ok()? {
        Some(words) => words,
        None => split_plain(input.arguments).iter().map(|w| w.word()).collect(),
    };
    if words.is_empty() {
        return context.error("missing-argument", input.place(), "`VOLUME` needs a path");
    }
    if let Some(blank) = words.iter().find(|w| w.value.is_empty()) {
        return context.error("blank-path", blank.span, "a path of `VOLUME` is empty");
    }
    Some(Kind::Volume(words))
}

pub(super) fn shell(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    input.no_flags(context);
    match input.json(context).ok()? {
        Some(words) if !words.is_empty() => Some(Kind::Shell(words)),
        Some(_) => context.error("missing-argument", input.place(), "`SHELL` needs at least one word"),
        None => {
            context.diagnostics.push(
                Diagnostic::error("shell-not-json", input.place(), "`SHELL` takes a JSON array")
                    .help("such as `SHELL [\"/bin/bash\", \"-c\"]`"),
            );
            None
        }
    }
}

pub(super) fn onbuild(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    input.no_flags(context);
    let Some(head) = Head::split(input.arguments) else {
        return context.error("missing-argument", input.place(), "`ONBUILD` needs an instruction");
    };
    match head.upper.as_str() {
        "ONBUILD" => return context.error("onbuild-chain", head.keyword.span(), "`ONBUILD` cannot hold `ONBUILD`"),
        "FROM" | "MAINTAINER" => {
            let message = format!("`ONBUILD` cannot hold `{}`", head.upper);
            return context.error("onbuild-trigger", head.keyword.span(), message);
        }
        _ => {}
    }
    let trigger = read(&head, input.heredocs.to_vec(), 0..0, context)?;
    Some(Kind::Onbuild(Box::new(trigger)))
}
