//! Splitting an instruction's arguments, the two ways Dockerfiles know.

use crate::pieces::Piece;

/// Characters that separate the arguments of `FROM`, `COPY`, `EXPOSE` …: BuildKit's set, which is not all of
/// Unicode's white space.
pub(crate) fn is_separator(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Splits at white space; quotes mean nothing.
pub(crate) fn split_plain(text: Piece<'_>) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut start = None;
    for (at, c) in text.text.char_indices() {
        match (is_separator(c), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                out.push(text.part(from, at));
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        out.push(text.from(from));
    }
    out
}

/// Splits at white space outside quotes (`ENV`, `LABEL`, `ARG`). Quotes and escapes stay in the words: the expander
/// removes them later. A lone escape character at the very end belongs to no word.
pub(crate) fn split_quoted(text: Piece<'_>, escape: char) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut start: Option<usize> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.text.char_indices().peekable();
    let mut end = text.text.len();
    while let Some((at, c)) = characters.next() {
        if quote.is_none() && c.is_whitespace() {
            if let Some(from) = start.take() {
                out.push(text.part(from, at));
            }
            continue;
        }
        if c == escape && quote != Some('\'') {
            if characters.next().is_none() {
                end = at;
                break;
            }
            start.get_or_insert(at);
            continue;
        }
        start.get_or_insert(at);
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
    }
    if let Some(from) = start.filter(|from| *from < end) {
        out.push(text.part(from, end));
    }
    out
}
