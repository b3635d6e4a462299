//! NuGet's order: semantic versioning with a fourth number, pre-release words compared without case.

use super::{Unparsable, compare_parsed, semver};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("NuGet", a, b, |text| semver::parse(&text.to_ascii_lowercase()).map(|v| (v.numbers, v.pre)))
}
