//! Python's order, PEP 440: `[N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local]`, with its lenient spellings.

use super::{Number, Unparsable, compare_parsed};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("PEP 440", a, b, parse)
}

/// What stands after the release, in the order in which PEP 440 sorts: `1.dev1 < 1a1 < 1 < 1.post1`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    /// Only a development release, before all pre-releases.
    Dev,
    /// A letter and a number.
    Some(u8, Number),
    /// The release itself.
    Final,
}

/// Part of a local version: text before numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Text(String),
    Number(Number),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    epoch: Number,
    release: Vec<Number>,
    pre: Pre,
    /// `None` before any number.
    post: Option<Number>,
    /// `(0, n)` for a development release, `(1, 0)` for none: it comes after all of them.
    dev: (u8, Number),
    local: Vec<Local>,
}

fn parse(text: &str) -> Option<Version> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_prefix('v').unwrap_or(&lower);
    let (public, local) = lower.split_once('+').map_or((lower, None), |(p, l)| (p, Some(l)));
    let (epoch, public) = public.split_once('!').map_or((Some(Number::zero()), public), |(e, p)| (Number::parse(e), p));
    let mut cursor = Cursor { rest: public };
    let mut release = vec![Number::parse(cursor.digits())?];
    while let Some(after) = cursor.rest.strip_prefix('.').filter(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
        cursor.rest = after;
        release.push(Number::parse(cursor.digits())?);
    }
    while release.last().is_some_and(Number::is_zero) && release.len() > 1 {
        release.pop();
    }
    let pre = cursor.tagged(&[
        ("alpha", b'a'),
        ("beta", b'b'),
        ("preview", b'c'),
        ("pre", b'c'),
        ("rc", b'c'),
        ("a", b'a'),
        ("b", b'b'),
        ("c", b'c'),
    ]);
    let post = cursor.post();
    let dev = cursor.tagged(&[("dev", b'd')]);
    if !cursor.rest.is_empty() {
        return None;
    }
    let pre = match (pre, &post, &dev) {
        (Some((letter, number)), _, _) => Pre::Some(letter, number),
        (None, None, Some(_)) => Pre::Dev,
        (None, _, _) => Pre::Final,
    };
    let dev = dev.map_or((1, Number::zero()), |(_, n)| (0, n));
    let local = match local {
        None => Vec::new(),
        Some(text) => text.split(['.', '-', '_']).map(local_part).collect::<Option<_>>()?,
    };
    Some(Version { epoch: epoch?, release, pre, post, dev, local })
}

fn local_part(text: &str) -> Option<Local> {
    if let Some(number) = Number::parse(text) {
        return Some(Local::Number(number));
    }
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| Local::Text(text.to_owned()))
}

struct Cursor<'t> {
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    fn digits(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits
    }

    /// A separator, one of the words, a separator, a number that may be left out (0).
    fn tagged(&mut self, words: &[(&str, u8)]) -> Option<(u8, Number)> {
        let start = self.rest.strip_prefix(['.', '-', '_']).unwrap_or(self.rest);
        let (word, letter) = words.iter().find(|(w, _)| start.starts_with(w))?;
        let after = start.get(word.len()..)?;
        // A separator belongs to the number only when a number follows.
        let with_separator =
            after.strip_prefix(['.', '-', '_']).filter(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        self.rest = with_separator.unwrap_or(after);
        let digits = self.digits();
        Some((*letter, Number::parse(digits).unwrap_or_else(Number::zero)))
    }

    fn post(&mut self) -> Option<Number> {
        // The implicit form: "1.0-1".
        if let Some(after) = self.rest.strip_prefix('-').filter(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
            self.rest = after;
            let digits = self.digits();
            return Number::parse(digits);
        }
        self.tagged(&[("post", b'p'), ("rev", b'p'), ("r", b'p')]).map(|(_, n)| n)
    }
}
