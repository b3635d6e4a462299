//! Maven's order (`ComparableVersion`, <https://maven.apache.org/pom.html#version-order-specification>): a tree of
//! numbers and words, split at `.`, at `-`, and between digits and letters; known words have their place around the release.

use super::{Number, Unparsable, compare_parsed};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("Maven", a, b, parse)
}

/// Known words in order; the empty one is the release itself.
const WORDS: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];
/// Rank of the release among [`WORDS`].
const RELEASE: usize = 5;
/// A version with more separators than this is no version: it bounds the depth of the tree.
const MAX_PARTS: usize = 256;

#[derive(Debug, Clone)]
enum Item {
    Number(Number),
    /// Rank among [`WORDS`] and, for an unknown word, its text.
    Word(usize, String),
    List(Vec<Item>),
}

#[derive(Debug)]
struct Version(Item);

impl Item {
    fn is_null(&self) -> bool {
        match self {
            Item::Number(n) => n.is_zero(),
            Item::Word(rank, _) => *rank == RELEASE,
            Item::List(items) => items.is_empty(),
        }
    }

    /// Compares with nothing: what a shorter version has at this place.
    fn against_nothing(&self) -> Ordering {
        match self {
            Item::Number(n) => {
                if n.is_zero() {
                    Ordering::Equal
                } else {
                    Ordering::Greater
                }
            }
            Item::Word(rank, _) => rank.cmp(&RELEASE),
            Item::List(items) => {
                items.iter().map(Item::against_nothing).find(|o| *o != Ordering::Equal).unwrap_or(Ordering::Equal)
            }
        }
    }

    fn compare(&self, other: &Item) -> Ordering {
        match (self, other) {
            (Item::Number(a), Item::Number(b)) => a.cmp(b),
            // 1.1 is newer than 1-1, and that newer than 1-word.
            (Item::Number(_), _) => Ordering::Greater,
            (_, Item::Number(_)) => Ordering::Less,
            (Item::Word(a, x), Item::Word(b, y)) => a.cmp(b).then_with(|| x.cmp(y)),
            (Item::Word(..), Item::List(_)) => Ordering::Less,
            (Item::List(_), Item::Word(..)) => Ordering::Greater,
            (Item::List(a), Item::List(b)) => {
                for i in 0..a.len().max(b.len()) {
                    let order = match (a.get(i), b.get(i)) {
                        (Some(x), Some(y)) => x.compare(y),
                        (Some(x), None) => x.against_nothing(),
                        (None, Some(y)) => y.against_nothing().reverse(),
                        (None, None) => Ordering::Equal,
                    };
                    if order != Ordering::Equal {
                        return order;
                    }
                }
                Ordering::Equal
            }
        }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.compare(&other.0)
    }
}

fn number(text: &str) -> Item {
    Item::Number(Number::parse(text).unwrap_or_else(Number::zero))
}

fn word(text: &str, before_digit: bool) -> Item {
    let text = match (text, before_digit) {
        ("a", true) => "alpha",
        ("b", true) => "beta",
        ("m", true) => "milestone",
        ("ga" | "final" | "release", _) => "",
        ("cr", _) => "rc",
        (other, _) => other,
    };
    match WORDS.iter().position(|w| *w == text) {
        Some(rank) => Item::Word(rank, String::new()),
        None => Item::Word(WORDS.len(), text.to_owned()),
    }
}

fn item(text: &str, digits: bool) -> Item {
    if digits { number(text) } else { word(text, false) }
}

/// The lists from the root down to the one being filled; each is the last item of the one before.
struct Tree(Vec<Vec<Item>>);

impl Tree {
    fn push(&mut self, item: Item) {
        if let Some(list) = self.0.last_mut() {
            list.push(item);
        }
    }

    fn open(&mut self) {
        self.0.push(Vec::new());
    }

    fn is_empty(&self) -> bool {
        self.0.last().is_none_or(Vec::is_empty)
    }

    fn close(mut self) -> Item {
        let mut inner: Option<Vec<Item>> = None;
        while let Some(mut list) = self.0.pop() {
            list.extend(inner.take().map(Item::List));
            normalise(&mut list);
            inner = Some(list);
        }
        Item::List(inner.unwrap_or_default())
    }
}

/// Removes what means nothing: zeros and empty lists at the end, before a hyphen, and before a word.
fn normalise(list: &mut Vec<Item>) {
    for i in (0..list.len()).rev() {
        if !list.get(i).is_some_and(Item::is_null) {
            continue;
        }
        if !matches!(list.get(i + 1), Some(Item::Number(_))) {
            list.remove(i);
        }
    }
}

fn parse(text: &str) -> Option<Version> {
    let lower = text.trim().to_lowercase();
    if lower.is_empty() || lower.contains(char::is_whitespace) || lower.contains(['$', '{', '[', '(', ',']) {
        return None;
    }
    let changes = lower
        .as_bytes()
        .windows(2)
        .filter(|w| w.first().map(u8::is_ascii_digit) != w.last().map(u8::is_ascii_digit))
        .count();
    if changes + lower.matches(['.', '-']).count() > MAX_PARTS {
        return None;
    }
    let mut tree = Tree(vec![Vec::new()]);
    let (mut start, mut digits) = (0, false);
    for (at, c) in lower.char_indices() {
        let part = lower.get(start..at).unwrap_or_default();
        match c {
            '.' | '-' => {
                // ".word" is the same as "-word".
                if !digits && !part.is_empty() && !tree.is_empty() {
                    tree.open();
                }
                tree.push(if part.is_empty() { number("0") } else { item(part, digits) });
                start = at + 1;
                if c == '-' {
                    tree.open();
                }
            }
            '0'..='9' => {
                if !digits && !part.is_empty() {
                    if !tree.is_empty() {
                        tree.open();
                    }
                    tree.push(word(part, true));
                    start = at;
                    tree.open();
                }
                digits = true;
            }
            _ => {
                if digits && !part.is_empty() {
                    tree.push(number(part));
                    start = at;
                    tree.open();
                }
                digits = false;
            }
        }
    }
    let rest = lower.get(start..).unwrap_or_default();
    if !rest.is_empty() {
        if !digits && !tree.is_empty() {
            tree.open();
        }
        tree.push(item(rest, digits));
    }
    Some(Version(tree.close()))
}
