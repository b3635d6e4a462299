//! What may come next at a place: instructions, flags, their values, stages and images.

use stockade_dockerfile::ast::Dockerfile;
use stockade_dockerfile::parse_fragment;

use super::help;

/// Most proposals in one answer.
const MAX_ITEMS: usize = 1000;

/// What a proposal is; the numbers are the protocol's `CompletionItemKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Keyword = 14,
    Property = 10,
    Value = 12,
    Module = 9,
    Reference = 18,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) detail: String,
}

/// Proposals, and the byte offset at which the word begins that they replace.
pub(super) fn complete(text: &str, offset: usize, images: &dyn Fn() -> Vec<String>) -> (Vec<Item>, usize) {
    let nothing = (Vec::new(), offset);
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let dockerfile = parse_fragment(text.as_bytes(), "").dockerfile;
    let at = offset.saturating_sub(mark);
    let in_heredoc = |i: &stockade_dockerfile::ast::Instruction| {
        i.heredocs.iter().any(|h| h.body.start.offset <= at && at <= h.body.end.offset)
    };
    if dockerfile.instructions.iter().any(in_heredoc) {
        return nothing;
    }
    let Some(mut before) = logical_line(text.get(mark..offset).unwrap_or(""), dockerfile.escape) else {
        return nothing;
    };
    if let Some(rest) = strip_word(&before, "ONBUILD") {
        before = rest;
    }
    let word = before.rsplit(char::is_whitespace).next().unwrap_or("").to_owned();
    let earlier: Vec<&str> = before.get(..before.len() - word.len()).unwrap_or("").split_whitespace().collect();
    let Some((keyword, operands)) = earlier.split_first() else {
        return (instructions(&word), offset - word.len());
    };
    let Some(help) = help::find(keyword) else { return nothing };
    let only_flags = operands.iter().all(|w| w.starts_with("--"));
    let operand = operands.iter().filter(|w| !w.starts_with("--")).count();
    let stages = || stage_names(&dockerfile, at);
    if only_flags && word.starts_with('-') {
        return match word.split_once('=') {
            None => (flags(help, &word), offset - word.len()),
            Some((name, value)) => {
                let found = values(help.name, name.trim_start_matches('-'), &stages, images);
                (matching(found, value), offset - value.len())
            }
        };
    }
    let found = match (help.name, operand) {
        ("FROM", 0) => {
            let mut found = stages();
            found.push(item("scratch", Kind::Value, "nothing at all"));
            found.extend(image_items(images));
            found
        }
        ("FROM", 1) => vec![item("AS", Kind::Keyword, "name the stage")],
        (name, 0) => {
            let words = help::WORDS.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, w)| *w);
            words.iter().map(|w| item(w, Kind::Keyword, "")).collect()
        }
        _ => Vec::new(),
    };
    (matching(found, &word), offset - word.len())
}

/// The instruction up to the place, its lines joined; `None` inside a comment.
fn logical_line(before: &str, escape: char) -> Option<String> {
    let mut lines = before.split('\n').rev();
    let last = lines.next().unwrap_or("");
    if last.trim_start().starts_with('#') {
        return None;
    }
    let mut parts = vec![last.trim_start().to_owned()];
    for line in lines {
        let line = line.trim();
        if line.starts_with('#') && parts.len() > 1 {
            continue;
        }
        match line.strip_suffix(escape) {
            Some(body) if !line.starts_with('#') => parts.push(format!("{body} ")),
            _ => break,
        }
    }
    parts.reverse();
    Some(parts.concat())
}

fn strip_word(text: &str, word: &str) -> Option<String> {
    let head = text.get(..word.len()).filter(|h| h.eq_ignore_ascii_case(word))?;
    let rest = text.get(head.len()..)?;
    rest.starts_with(char::is_whitespace).then(|| rest.trim_start().to_owned())
}

fn item(label: &str, kind: Kind, detail: &str) -> Item {
    Item { label: label.to_owned(), kind, detail: detail.to_owned() }
}

fn matching(items: Vec<Item>, start: &str) -> Vec<Item> {
    let fits = |label: &str| label.get(..start.len()).is_some_and(|l| l.eq_ignore_ascii_case(start));
    items.into_iter().filter(|i| fits(&i.label)).take(MAX_ITEMS).collect()
}

fn instructions(word: &str) -> Vec<Item> {
    matching(help::INSTRUCTIONS.iter().map(|h| item(h.name, Kind::Keyword, h.form)).collect(), word)
}

fn flags(help: &help::Help, word: &str) -> Vec<Item> {
    let all = help.flags.iter().map(|(name, text)| item(&format!("--{name}"), Kind::Property, text)).collect();
    matching(all, word)
}

fn values(
    instruction: &str,
    flag: &str,
    stages: &dyn Fn() -> Vec<Item>,
    images: &dyn Fn() -> Vec<String>,
) -> Vec<Item> {
    if (instruction, flag) == ("COPY", "from") {
        let mut found = stages();
        found.extend(image_items(images));
        return found;
    }
    let fixed = help::VALUES.iter().find(|(i, f, _)| *i == instruction && f.trim_end_matches('=') == flag);
    fixed.map_or(&[][..], |(_, _, v)| *v).iter().map(|v| item(v, Kind::Value, "")).collect()
}

/// Names of the stages that begin before a place.
fn stage_names(dockerfile: &Dockerfile, at: usize) -> Vec<Item> {
    let begins = |s: &&stockade_dockerfile::ast::Stage| {
        dockerfile.instructions.get(s.instructions.start).is_some_and(|i| i.span.end.offset < at)
    };
    let names = dockerfile.stages.iter().filter(begins).filter_map(|s| s.name.as_deref());
    names.map(|n| item(n, Kind::Reference, "stage of this file")).collect()
}

fn image_items(images: &dyn Fn() -> Vec<String>) -> Vec<Item> {
    images().iter().map(|n| item(n, Kind::Module, "image")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels at the `|` of a text, and what they replace.
    fn at(text: &str) -> (Vec<String>, String) {
        let offset = text.find('|').unwrap();
        let text = text.replacen('|', "", 1);
        let images = || vec!["debian:bookworm".to_owned(), "web:1".to_owned()];
        let (items, start) = complete(&text, offset, &images);
        (items.into_iter().map(|i| i.label).collect(), text[start..offset].to_owned())
    }

    #[test]
    fn instructions_at_the_start_of_a_line() {
        assert_eq!(at("FROM a\nhea|"), (vec!["HEALTHCHECK".into()], "hea".into()));
        assert_eq!(at("|").0.len(), help::INSTRUCTIONS.len());
        assert_eq!(at("ONBUILD wor|").0, ["WORKDIR"]);
        // Not where an instruction goes on, in a comment, or in a heredoc.
        assert!(at("RUN a \\\nco|").0.is_empty());
        assert!(at("# co|").0.is_empty());
        assert!(at("RUN <<E\nco|\nE\n").0.is_empty());
    }

    #[test]
    fn flags_and_their_values() {
        assert_eq!(at("COPY --fr|").0, ["--from="]);
        assert_eq!(at("FROM a AS one\nFROM b\nCOPY --link \\\n  --from=o|").0, ["one"]);
        assert_eq!(at("RUN --mount=type=ca|").0, ["type=cache,target="]);
        assert_eq!(at("RUN --network=|").0, ["default", "none", "host"]);
        assert!(at("RUN ls --|").0.is_empty());
    }

    #[test]
    fn images_and_stages() {
        assert_eq!(at("FROM de|"), (vec!["debian:bookworm".into()], "de".into()));
        assert_eq!(at("FROM a AS one\nFROM |").0, ["one", "scratch", "debian:bookworm", "web:1"]);
        assert_eq!(at("FROM --platform=linux/amd64 web:|").0, ["web:1"]);
        assert_eq!(at("FROM a |").0, ["AS"]);
        assert_eq!(at("HEALTHCHECK --interval=3s |").0, ["CMD", "NONE"]);
        assert_eq!(at("STOPSIGNAL SIGI|").0, ["SIGINT"]);
    }

    proptest::proptest! {
        #[test]
        fn any_place_of_any_text(text in "(FROM a|RUN |COPY --from=|ONBUILD |[a-z é.$|\\\\#<-]|\n){0,20}", at in 0usize..80) {
            let at = text.floor_char_boundary(at.min(text.len()));
            let (_, start) = complete(&text, at, &|| vec!["é:1".to_owned()]);
            proptest::prop_assert!(start <= at && text.is_char_boundary(start));
        }
    }
}
