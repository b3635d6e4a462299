//! Arch Linux's order, vercmp(8): `[epoch:]version[-release]`, where letters after a version come before it.

use super::{Unparsable, compare_digits};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    let (a, b) = (split(a)?, split(b)?);
    let releases = match (a.release, b.release) {
        (Some(x), Some(y)) => compare_part(x.as_bytes(), y.as_bytes()),
        // vercmp ignores a missing release; an order cannot, so nothing comes before something.
        (x, y) => x.is_some().cmp(&y.is_some()),
    };
    Ok(compare_digits(a.epoch.as_bytes(), b.epoch.as_bytes())
        .then_with(|| compare_part(a.version.as_bytes(), b.version.as_bytes()))
        .then(releases))
}

struct Split<'v> {
    epoch: &'v str,
    version: &'v str,
    release: Option<&'v str>,
}

fn split(text: &str) -> Result<Split<'_>, Unparsable> {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (version, release) = rest.rsplit_once('-').map_or((rest, None), |(v, r)| (v, Some(r)));
    let readable = !epoch.is_empty()
        && epoch.bytes().all(|b| b.is_ascii_digit())
        && rest.bytes().all(|b| b.is_ascii_graphic())
        && version.bytes().any(|b| b.is_ascii_alphanumeric())
        && release.is_none_or(|r| r.bytes().any(|b| b.is_ascii_digit()));
    if readable {
        Ok(Split { epoch, version, release })
    } else {
        Err(Unparsable { version: text.to_owned(), order: "pacman" })
    }
}

fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() && !b.is_empty() {
        let separators = |s: &[u8]| s.iter().position(u8::is_ascii_alphanumeric).unwrap_or(s.len());
        let (gap_a, gap_b) = (separators(a), separators(b));
        (a, b) = (a.get(gap_a..).unwrap_or_default(), b.get(gap_b..).unwrap_or_default());
        let (Some(first_a), Some(first_b)) = (a.first(), b.first()) else {
            return compare_ends(a, b);
        };
        if gap_a != gap_b {
            return gap_a.cmp(&gap_b);
        }
        let numeric = first_a.is_ascii_digit();
        if numeric != first_b.is_ascii_digit() {
            return if numeric { Ordering::Greater } else { Ordering::Less };
        }
        let (segment_a, rest_a) = segment(a, numeric);
        let (segment_b, rest_b) = segment(b, numeric);
        let order = if numeric { compare_digits(segment_a, segment_b) } else { segment_a.cmp(segment_b) };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    compare_ends(a, b)
}

/// One of the two has ended: letters that remain are older than the end, anything else is newer.
fn compare_ends(a: &[u8], b: &[u8]) -> Ordering {
    let value = |rest: &[u8]| match rest.first() {
        None => 0,
        Some(b) if b.is_ascii_alphabetic() => -1,
        Some(_) => 1,
    };
    value(a).cmp(&value(b))
}

fn segment(text: &[u8], numeric: bool) -> (&[u8], &[u8]) {
    let belongs = |b: &u8| if numeric { b.is_ascii_digit() } else { b.is_ascii_alphabetic() };
    text.split_at(text.iter().position(|b| !belongs(b)).unwrap_or(text.len()))
}
