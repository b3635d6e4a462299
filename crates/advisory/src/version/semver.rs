//! Semantic versioning 2.0.0 (<https://semver.org/>), reading also what registries hold beyond it: `v1.2`, `1`, `1.2.3.4`.

use super::{Number, Unparsable, compare_parsed};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("semantic", a, b, |text| parse(text).map(|v| (v.numbers, v.pre)))
}

/// What follows the `-`, or nothing, which is newer than anything.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pre {
    Identifiers(Vec<Identifier>),
    Release,
}

/// Numbers come before words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identifier {
    Number(Number),
    Word(String),
}

pub(super) struct Version {
    /// At least three; trailing zeros beyond the third dropped.
    pub numbers: Vec<Number>,
    pub pre: Pre,
    pub build: Vec<Identifier>,
}

/// Reads a version; `None` for what is none.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.trim();
    let text = text.strip_prefix(['=', 'v', 'V']).unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, ""), |(t, b)| (t, b));
    let (core, pre) = text.split_once('-').map_or((text, None), |(c, p)| (c, Some(p)));
    let mut numbers: Vec<Number> = core.split('.').map(Number::parse).collect::<Option<_>>()?;
    while numbers.len() < 3 {
        numbers.push(Number::zero());
    }
    while numbers.len() > 3 && numbers.last().is_some_and(Number::is_zero) {
        numbers.pop();
    }
    let pre = match pre {
        None => Pre::Release,
        Some(p) => Pre::Identifiers(identifiers(p)?),
    };
    let build = if build.is_empty() { Vec::new() } else { identifiers(build)? };
    Some(Version { numbers, pre, build })
}

fn identifiers(text: &str) -> Option<Vec<Identifier>> {
    text.split('.')
        .map(|part| {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                return None;
            }
            Some(Number::parse(part).map_or_else(|| Identifier::Word(part.to_owned()), Identifier::Number))
        })
        .collect()
}
