//! `<<NAME` words and the bodies that follow the instruction.

use crate::ast::Word;
use crate::expand::Expander;
use crate::pieces::Piece;

/// A `<<NAME` word, before its body was read.
pub(crate) struct Marker {
    pub(crate) name: String,
    pub(crate) word: Word,
    pub(crate) chomp: bool,
    pub(crate) expand: bool,
    pub(crate) descriptor: u32,
}

/// The rules by which a line is cut into words here: quotes and variables stay as they are.
fn raw_rules() -> Expander<'static> {
    let unset: &'static dyn Fn(&str) -> Option<String> = &|_| None;
    Expander { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Expander::new('\\', unset) }
}

/// The heredocs that a line asks for. Unbalanced quotes mean there are none (the shell will complain).
pub(crate) fn markers(line: Piece<'_>) -> Vec<Marker> {
    if !line.text.contains("<<") {
        return Vec::new();
    }
    let Ok(split) = raw_rules().process(line.text) else { return Vec::new() };
    split.words.iter().filter_map(|w| marker(&w.text, line.part(w.start, w.end))).collect()
}

/// Reads one word as `[fd]<<[-]NAME`.
pub(crate) fn marker(text: &str, place: Piece<'_>) -> Option<Marker> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (descriptor, rest) = (text.get(..digits)?, text.get(digits..)?.strip_prefix("<<")?);
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let cooked = Expander { raw_quotes: false, raw_escapes: false, ..raw_rules() }.words(rest).ok()?;
    let raw = raw_rules().words(rest).ok()?;
    let [name] = cooked.as_slice() else { return None };
    let expand = raw.first() == Some(name);
    let word = place.valued(text.to_owned());
    Some(Marker { name: name.clone(), word, chomp, expand, descriptor: descriptor.parse().unwrap_or_default() })
}

/// True for a word that is a heredoc marker.
pub(crate) fn is_marker(place: Piece<'_>) -> bool {
    marker(place.text, place).is_some()
}
