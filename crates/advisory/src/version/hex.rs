//! Elixir's order: semantic versioning, exactly three numbers.

use super::{Unparsable, compare_parsed, semver};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("Hex", a, b, |text| semver::parse(text).map(|v| (v.numbers, v.pre)))
}
