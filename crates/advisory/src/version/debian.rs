//! Debian's order, deb-version(7): `[epoch:]upstream[-revision]`.

use super::{Unparsable, compare_digits};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    let (a, b) = (split(a)?, split(b)?);
    Ok(compare_digits(a.epoch.as_bytes(), b.epoch.as_bytes())
        .then_with(|| compare_part(a.upstream.as_bytes(), b.upstream.as_bytes()))
        .then_with(|| compare_part(a.revision.as_bytes(), b.revision.as_bytes())))
}

struct Split<'v> {
    epoch: &'v str,
    upstream: &'v str,
    revision: &'v str,
}

fn split(version: &str) -> Result<Split<'_>, Unparsable> {
    let wrong = || Unparsable { version: version.to_owned(), order: "Debian" };
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".+~-:_".contains(&b);
    let readable = !epoch.is_empty()
        && epoch.bytes().all(|b| b.is_ascii_digit())
        && !upstream.is_empty()
        && upstream.bytes().all(allowed)
        && !revision.is_empty()
        && revision.bytes().all(|b| allowed(b) && b != b':');
    if readable { Ok(Split { epoch, upstream, revision }) } else { Err(wrong()) }
}

/// Weight of a character outside digits: `~` before the end, the end before letters, letters before the rest.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        // Characters up to the next digit, one by one.
        loop {
            let digit = |s: &[u8]| s.first().is_none_or(u8::is_ascii_digit);
            if digit(a) && digit(b) {
                break;
            }
            match weight(a.first()).cmp(&weight(b.first())) {
                Ordering::Equal => {}
                other => return other,
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        // Then a number.
        let run = |s: &[u8]| s.iter().position(|c| !c.is_ascii_digit()).unwrap_or(s.len());
        let (number_a, rest_a) = a.split_at(run(a));
        let (number_b, rest_b) = b.split_at(run(b));
        match compare_digits(number_a, number_b) {
            Ordering::Equal => {}
            other => return other,
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}
