//! `COPY` and `ADD`.

use super::{Context, Input};
use crate::ast::{Add, Copy, Kind, Source, Word};
use crate::flags::FlagReader;
use crate::heredoc::{is_marker, marker};
use crate::words::split_plain;

pub(super) fn copy(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    let mut flags = FlagReader::new(input.name, input.flags, context.diagnostics);
    let from = flags.string("from");
    let chown = flags.string("chown");
    let chmod = flags.string("chmod");
    let link = flags.boolean("link").unwrap_or(false);
    let parents = flags.boolean("parents").unwrap_or(false);
    let exclude = flags.strings("exclude");
    flags.finish();
    let (sources, destination) = sources(input, context)?;
    Some(Kind::Copy(Copy { sources, destination, from, chown, chmod, link, parents, exclude }))
}

pub(super) fn add(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<Kind> {
    let mut flags = FlagReader::new(input.name, input.flags, context.diagnostics);
    let chown = flags.string("chown");
    let chmod = flags.string("chmod");
    let checksum = flags.string("checksum");
    let link = flags.boolean("link").unwrap_or(false);
    let keep_git_dir = flags.boolean("keep-git-dir").unwrap_or(false);
    let unpack = flags.boolean("unpack");
    let exclude = flags.strings("exclude");
    flags.finish();
    let (sources, destination) = sources(input, context)?;
    Some(Kind::Add(Add { sources, destination, chown, chmod, checksum, link, keep_git_dir, unpack, exclude }))
}

fn sources(input: &Input<'_, '_>, context: &mut Context<'_>) -> Option<(Vec<Source>, Word)> {
    let pieces = split_plain(input.arguments);
    let (words, markers): (Vec<Word>, Vec<bool>) = match input.json(context).ok()? {
        Some(words) => {
            let none = vec![false; words.len()];
            (words, none)
        }
        None => (pieces.iter().map(|p| p.word()).collect(), pieces.iter().map(|p| is_marker(*p)).collect()),
    };
    let name = input.name;
    let [sources @ .., destination] = words.as_slice() else {
        return context.error("missing-argument", input.place(), format!("`{name}` needs a source and a destination"));
    };
    if sources.is_empty() {
        let message = format!("`{name}` needs a destination after `{}`", super::abbreviate(destination));
        return context.error("missing-destination", destination.span, message);
    }
    if markers.last() == Some(&true) {
        let message = format!("the destination of `{name}` cannot be a heredoc");
        return context.error("heredoc-destination", destination.span, message);
    }
    let mut out = Vec::new();
    for (index, word) in sources.iter().enumerate() {
        if markers.get(index) != Some(&true) {
            out.push(Source::Path(word.clone()));
            continue;
        }
        let wanted = pieces.get(index).and_then(|p| marker(p.text, *p)).map(|m| m.name);
        match input.heredocs.iter().position(|h| Some(&h.name) == wanted.as_ref()) {
            Some(at) => out.push(Source::Heredoc(at)),
            None => out.push(Source::Path(word.clone())),
        }
    }
    Some((out, destination.clone()))
}
