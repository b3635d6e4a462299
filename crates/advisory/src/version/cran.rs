//! R's order (`numeric_version`): numbers separated by `.` or `-`; a shorter version comes before its extension.

use super::{Number, Unparsable, compare_parsed};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("R", a, b, |text| text.trim().split(['.', '-']).map(Number::parse).collect::<Option<Vec<_>>>())
}
