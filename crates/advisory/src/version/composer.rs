//! Composer's order: its normalised form (`1.2` is `1.2.0.0`, `-beta.2` is `-beta2`) compared as PHP's
//! `version_compare` does: `dev < alpha < beta < RC < release < patch`. Branches (`dev-main`) have no order.

use super::{Number, Unparsable, compare_parsed};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("Composer", a, b, parse)
}

/// What stands after the stability word.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tail {
    Dev,
    End,
    Number(Number),
}

type Version = (Vec<Number>, u8, Vec<Tail>);

fn parse(text: &str) -> Option<Version> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.split('+').next()?;
    let lower = lower.split(" as ").next()?.split('@').next()?;
    let lower = lower.strip_prefix('v').unwrap_or(lower);
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (core, mut rest) = lower.split_at(end);
    // The separator may have been a dot: "1.0.beta2".
    let core = core.strip_suffix('.').unwrap_or(core);
    let mut numbers: Vec<Number> = core.split('.').map(Number::parse).collect::<Option<_>>()?;
    // Dates and build numbers: "2024-01-31", "20100102-203040".
    while let Some(after) = rest.strip_prefix(['-', '_', '.']).filter(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (digits, tail) = after.split_at(end);
        numbers.push(Number::parse(digits)?);
        rest = tail;
    }
    while numbers.len() < 4 {
        numbers.push(Number::zero());
    }
    while numbers.len() > 4 && numbers.last().is_some_and(Number::is_zero) {
        numbers.pop();
    }
    let (rank, tail) = stability(rest)?;
    Some((numbers, rank, tail))
}

/// Rank of the stability, and what follows it.
fn stability(text: &str) -> Option<(u8, Vec<Tail>)> {
    const RELEASE: u8 = 5;
    let rest = text.strip_prefix(['-', '_', '.']).unwrap_or(text);
    let words = [
        ("dev", 0),
        ("stable", RELEASE),
        ("alpha", 1),
        ("beta", 2),
        ("rc", 3),
        ("patch", 6),
        ("pl", 6),
        ("a", 1),
        ("b", 2),
        ("p", 6),
    ];
    if rest.is_empty() {
        return (text.is_empty()).then(|| (RELEASE, vec![Tail::End]));
    }
    let (word, rank) = words.into_iter().find(|(w, _)| rest.starts_with(w))?;
    if word == "dev" {
        return (rest.len() == 3).then(|| (0, vec![Tail::End]));
    }
    let mut tail = Vec::new();
    let mut rest = rest.get(word.len()..)?;
    loop {
        let after = rest.strip_prefix(['-', '.']).unwrap_or(rest);
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (digits, next) = after.split_at(end);
        match Number::parse(digits) {
            Some(number) => {
                tail.push(Tail::Number(number));
                rest = next;
            }
            None => break,
        }
    }
    match rest.strip_prefix(['-', '_', '.']).unwrap_or(rest) {
        "" if rest.is_empty() => tail.push(Tail::End),
        // "stable-dev" is a development state of the release.
        "dev" if rank == RELEASE => return Some((0, vec![Tail::End])),
        "dev" => tail.push(Tail::Dev),
        _ => return None,
    }
    Some((rank, tail))
}
