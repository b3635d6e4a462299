//! RPM's order, rpm-version(7): `[epoch:]version[-release]`, with `~` (before) and `^` (after).

use super::{Unparsable, compare_digits};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    let (a, b) = (split(a)?, split(b)?);
    Ok(compare_digits(a.epoch.as_bytes(), b.epoch.as_bytes())
        .then_with(|| compare_part(a.version.as_bytes(), b.version.as_bytes()))
        .then_with(|| compare_part(a.release.as_bytes(), b.release.as_bytes())))
}

struct Split<'v> {
    epoch: &'v str,
    version: &'v str,
    release: &'v str,
}

fn split(text: &str) -> Result<Split<'_>, Unparsable> {
    let (epoch, rest) = match text.split_once(':') {
        // RPM's own tools print "(none)" for a missing epoch.
        Some(("(none)" | "", rest)) => ("0", rest),
        Some(pair) => pair,
        None => ("0", text),
    };
    let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
    let readable = epoch.bytes().all(|b| b.is_ascii_digit())
        && !version.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic())
        && version.bytes().any(|b| b.is_ascii_alphanumeric());
    if readable {
        Ok(Split { epoch, version, release })
    } else {
        Err(Unparsable { version: text.to_owned(), order: "RPM" })
    }
}

fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        (a, b) = (skip_separators(a), skip_separators(b));
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) => {}
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), Some(b'^')) => {}
            // "^" is after the end of the string, and before anything that follows a separator.
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), None) => return Ordering::Greater,
            (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let numeric = x.is_ascii_digit();
                if numeric != y.is_ascii_digit() {
                    // Numbers are newer than letters.
                    return if numeric { Ordering::Greater } else { Ordering::Less };
                }
                let (segment_a, rest_a) = segment(a, numeric);
                let (segment_b, rest_b) = segment(b, numeric);
                let order = if numeric { compare_digits(segment_a, segment_b) } else { segment_a.cmp(segment_b) };
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (rest_a, rest_b);
                continue;
            }
        }
        (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
    }
}

fn skip_separators(text: &[u8]) -> &[u8] {
    let at = text.iter().position(|b| b.is_ascii_alphanumeric() || matches!(b, b'~' | b'^')).unwrap_or(text.len());
    text.get(at..).unwrap_or_default()
}

fn segment(text: &[u8], numeric: bool) -> (&[u8], &[u8]) {
    let belongs = |b: &u8| if numeric { b.is_ascii_digit() } else { b.is_ascii_alphabetic() };
    text.split_at(text.iter().position(|b| !belongs(b)).unwrap_or(text.len()))
}
