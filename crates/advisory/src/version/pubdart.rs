//! Dart's order (pub_semver): semantic versioning, but build metadata counts, and no build comes before any.

use super::{Unparsable, compare_parsed, semver};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("pub", a, b, |text| semver::parse(text).map(|v| (v.numbers, v.pre, v.build)))
}
