//! `HEALTHCHECK`

use super::{Context, Input, abbreviate, run};
use crate::ast::{CommandLine, Healthcheck, Kind, Word};
use crate::diagnostic::Diagnostic;
use crate::flags::FlagReader;
use crate::suggest::nearest;
use crate::units::parse_duration_ns;

/// Docker refuses shorter times.
const MINIMUM_NS: u64 = 1_000_000;

pub(super) fn healthcheck(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    let text = input.arguments;
    let end = text.text.find(char::is_whitespace).unwrap_or(text.text.len());
    let (word, rest) = (text.part(0, end), text.from(end).trim());
    let mut flags = FlagReader::new(input.name, input.flags, context.diagnostics);
    let times = ["interval", "timeout", "start-period", "start-interval"].map(|name| (name, flags.string(name)));
    let retries = flags.string("retries");
    flags.finish();
    let [interval_ns, timeout_ns, start_period_ns, start_interval_ns] =
        times.map(|(name, word)| duration(context, name, word));
    let retries = retries.map_or(0, |word| count(context, &word));
    match word.text.to_ascii_uppercase().as_str() {
        "" => context.error("missing-argument", input.place(), "`HEALTHCHECK` needs `CMD` or `NONE`"),
        "NONE" if rest.text.is_empty() => Some(Kind::Healthcheck(Healthcheck::None)),
        "NONE" => context.error("healthcheck-none", rest.span(), "`HEALTHCHECK NONE` takes nothing more"),
        "CMD" => {
            let inner = Input { arguments: rest, ..*input };
            let command = run::line(&inner, context)?;
            if matches!(&command, CommandLine::Exec(words) if words.is_empty()) {
                return context.error("missing-argument", word.span(), "`HEALTHCHECK CMD` needs a command");
            }
            Some(Kind::Healthcheck(Healthcheck::Check {
                command,
                interval_ns,
                timeout_ns,
                start_period_ns,
                start_interval_ns,
                retries,
            }))
        }
        _ => {
            let message = format!("`HEALTHCHECK` knows `CMD` and `NONE`, not `{}`", abbreviate(word.text));
            let mut diagnostic = Diagnostic::error("healthcheck-type", word.span(), message);
            if let Some(near) = nearest(word.text, ["CMD", "NONE"]) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            context.diagnostics.push(diagnostic);
            None
        }
    }
}

fn duration(context: &mut Context<'_>, name: &str, word: Option<Word>) -> u64 {
    let Some(word) = word else { return 0 };
    let value = abbreviate(&word.value);
    match parse_duration_ns(&word.value) {
        Some(ns) if ns == 0 || ns >= MINIMUM_NS => return ns,
        Some(_) => {
            context.error::<()>("duration", word.span, format!("`--{name}={value}` is shorter than 1ms"));
        }
        None => context.diagnostics.push(
            Diagnostic::error("duration", word.span, format!("`--{name}={value}` is not a duration"))
                .help("write a number with a unit, such as `30s` or `1m30s`"),
        ),
    }
    0
}

fn count(context: &mut Context<'_>, word: &Word) -> u32 {
    match word.value.parse::<u32>() {
        Ok(n) if i32::try_from(n).is_ok() => n,
        _ => {
            let message = format!("`--retries={}` is not a number from 0", abbreviate(&word.value));
            context.error::<()>("retries", word.span, message);
            0
        }
    }
}
