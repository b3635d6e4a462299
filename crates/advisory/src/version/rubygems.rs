//! RubyGems' order (`Gem::Version`): segments of numbers and words; a word makes a pre-release.

use super::{Number, Unparsable, compare_parsed, split_at_changes};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("RubyGems", a, b, parse)
}

/// Words come before numbers, and so before the zeros that a shorter version is filled with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Word(String),
    Number(Number),
}

#[derive(Debug)]
struct Version(Vec<Segment>);

fn parse(text: &str) -> Option<Version> {
    // A version may name the platform it was built for: "1.2.3-x86_64-linux" is read as Gem does, as a pre-release.
    let text = text.trim().replace('-', ".pre.");
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut segments = Vec::new();
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        for piece in part.split('_').filter(|p| !p.is_empty()).flat_map(split_at_changes) {
            segments.push(Number::parse(piece).map_or_else(|| Segment::Word(piece.to_owned()), Segment::Number));
        }
    }
    let split = segments.iter().position(|s| matches!(s, Segment::Word(_))).unwrap_or(segments.len());
    let mut words = segments.split_off(split);
    drop_trailing_zeros(&mut segments);
    drop_trailing_zeros(&mut words);
    segments.append(&mut words);
    Some(Version(segments))
}

fn drop_trailing_zeros(segments: &mut Vec<Segment>) {
    while segments.last().is_some_and(|s| matches!(s, Segment::Number(n) if n.is_zero())) {
        segments.pop();
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let zero = Segment::Number(Number::zero());
        for i in 0..self.0.len().max(other.0.len()) {
            match self.0.get(i).unwrap_or(&zero).cmp(other.0.get(i).unwrap_or(&zero)) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        Ordering::Equal
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}
