//! Alpine's order, as apk-tools 3 has it: numbers, a letter, suffixes (`_alpha` … `_p`), a commit hash, `-rN`.

use super::{Unparsable, compare_digits, compare_parsed};
use std::cmp::Ordering;

/// Suffixes in order; those before [`RELEASE`] come before the version without suffix.
const SUFFIXES: [&str; 10] = ["alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"];
/// Where a version without suffix stands among [`SUFFIXES`].
const RELEASE: usize = 4;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("apk", a, b, parse)
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Initial(Vec<u8>),
    Digits(Vec<u8>),
    Letter(u8),
    Suffix(usize),
    SuffixNumber(Vec<u8>),
    Hash(Vec<u8>),
    Revision(Vec<u8>),
    End,
}

impl Token {
    /// Where tokens of different kinds stand: a version that goes on with digits is newer than one that goes on with a
    /// letter, and so on down to one that ends; only a suffix for what comes before a release is older than the end.
    fn rank(&self) -> u8 {
        match self {
            Token::Suffix(kind) if *kind < RELEASE => 0,
            Token::End => 1,
            Token::Revision(_) => 2,
            Token::Hash(_) => 3,
            Token::SuffixNumber(_) => 4,
            Token::Suffix(_) => 5,
            Token::Letter(_) => 6,
            Token::Digits(_) => 7,
            Token::Initial(_) => 8,
        }
    }
}

impl PartialOrd for Token {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Token {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Components after the first that start with a zero compare as text, as in Gentoo's rule.
            (Token::Digits(a), Token::Digits(b)) if a.first() == Some(&b'0') || b.first() == Some(&b'0') => a.cmp(b),
            (Token::Initial(a), Token::Initial(b))
            | (Token::Digits(a), Token::Digits(b))
            | (Token::SuffixNumber(a), Token::SuffixNumber(b))
            | (Token::Revision(a), Token::Revision(b)) => compare_digits(a, b),
            (Token::Letter(a), Token::Letter(b)) => a.cmp(b),
            (Token::Suffix(a), Token::Suffix(b)) => a.cmp(b),
            (Token::Hash(a), Token::Hash(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn parse(version: &str) -> Option<Vec<Token>> {
    let mut rest = version.as_bytes();
    let mut tokens = vec![Token::Initial(take(&mut rest, u8::is_ascii_digit)?)];
    while rest.first() == Some(&b'.') {
        rest = rest.get(1..)?;
        tokens.push(Token::Digits(take(&mut rest, u8::is_ascii_digit)?));
    }
    if let Some(letter) = rest.first().filter(|b| b.is_ascii_lowercase()) {
        tokens.push(Token::Letter(*letter));
        rest = rest.get(1..)?;
    }
    while rest.first() == Some(&b'_') {
        rest = rest.get(1..)?;
        let name = take(&mut rest, u8::is_ascii_lowercase)?;
        let kind = SUFFIXES.iter().position(|s| !s.is_empty() && s.as_bytes() == name)?;
        tokens.push(Token::Suffix(kind));
        if let Some(number) = take(&mut rest, u8::is_ascii_digit) {
            tokens.push(Token::SuffixNumber(number));
        }
    }
    if rest.first() == Some(&b'~') {
        rest = rest.get(1..)?;
        tokens.push(Token::Hash(take(&mut rest, u8::is_ascii_hexdigit)?));
    }
    if let Some(revision) = rest.strip_prefix(b"-r") {
        rest = revision;
        tokens.push(Token::Revision(take(&mut rest, u8::is_ascii_digit)?));
    }
    tokens.push(Token::End);
    rest.is_empty().then_some(tokens)
}

/// The longest non-empty run of bytes that belong.
fn take(rest: &mut &[u8], belongs: impl Fn(&u8) -> bool) -> Option<Vec<u8>> {
    let end = rest.iter().position(|b| !belongs(b)).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    if head.is_empty() {
        return None;
    }
    *rest = tail;
    Some(head.to_vec())
}
