//! `RUN`, `CMD`, `ENTRYPOINT`.

use super::{Context, Input, abbreviate};
use crate::ast::{CommandLine, Kind, NetworkMode, Run, Security, Word};
use crate::diagnostic::Diagnostic;
use crate::flags::FlagReader;
use crate::mount::MountFlag;
use crate::suggest::nearest;

/// A command in shell or JSON form. Nothing at all is an empty JSON form: `CMD` alone resets the command.
pub(super) fn command(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<CommandLine> {
    input.no_flags(context);
    line(input, context)
}

pub(super) fn line(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<CommandLine> {
    if input.arguments.text.is_empty() {
        return Some(CommandLine::Exec(Vec::new()));
    }
    Some(match input.json(context).ok()? {
        Some(words) => CommandLine::Exec(words),
        None => CommandLine::Shell(input.arguments.word()),
    })
}

pub(super) fn run(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    let mut flags = FlagReader::new(input.name, input.flags, context.diagnostics);
    let mounts = flags.strings("mount");
    let network = flags.string("network");
    let security = flags.string("security");
    let devices = flags.strings("device");
    flags.finish();

    let mounts: Vec<MountFlag> = mounts.into_iter().filter_map(|word| mount(word, context)).collect();
    let network = choice(context, "network", network, &NETWORKS);
    let security = choice(context, "security", security, &SECURITIES);
    let command = line(input, context)?;
    let empty = match &command {
        CommandLine::Exec(words) => words.is_empty(),
        CommandLine::Shell(_) => false,
    };
    if empty {
        return context.error("missing-argument", input.place(), "`RUN` needs a command");
    }
    Some(Kind::Run(Run { command, mounts, network, security, devices }))
}

const NETWORKS: [(&str, NetworkMode); 3] =
    [("default", NetworkMode::Default), ("none", NetworkMode::None), ("host", NetworkMode::Host)];
const SECURITIES: [(&str, Security); 2] = [("sandbox", Security::Sandbox), ("insecure", Security::Insecure)];

fn choice<T: Copy + Default>(
    context: &mut Context<'_>,
    flag: &str,
    word: Option<Word>,
    known: &[(&'static str, T)],
) -> T {
    let Some(word) = word else { return T::default() };
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == word.value) {
        return *value;
    }
    let names: Vec<&str> = known.iter().map(|(n, _)| *n).collect();
    let message = format!("`--{flag}={}`: expected {}", abbreviate(&word.value), names.join(", "));
    let mut diagnostic = Diagnostic::error("flag-value", word.span, message);
    if let Some(near) = nearest(&word.value, names) {
        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
    }
    context.diagnostics.push(diagnostic);
    T::default()
}

/// Reads `--mount`, and checks it at once when it holds no variables.
fn mount(word: Word, context: &mut Context<'_>) -> Option<MountFlag> {
    let span = word.span;
    let flag = match MountFlag::read(word) {
        Ok(flag) => flag,
        Err(diagnostic) => {
            context.diagnostics.push(diagnostic);
            return None;
        }
    };
    let from_variable = flag.field("from").is_some_and(|v| v.contains('$'));
    if (!flag.raw.value.contains('$') || from_variable)
        && let Err(message) = flag.resolve(&mut |v| Ok(v.to_owned()))
    {
        return context.error("mount", span, message);
    }
    Some(flag)
}
