//! Go's order: semantic versions with `v`, pseudo-versions (which are pre-releases by construction,
//! <https://go.dev/ref/mod#pseudo-versions>), `+incompatible`, and the toolchain's own `go1.21rc2`.

use super::semver::{self, Pre};
use super::{Number, Unparsable, compare_parsed};
use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, Unparsable> {
    compare_parsed("Go", a, b, parse)
}

fn parse(text: &str) -> Option<(Vec<Number>, Pre)> {
    // A toolchain may carry what it was built by: "go1.22.1 X:boringcrypto".
    let text = text.split_whitespace().next()?;
    let text = text.strip_prefix("go").unwrap_or(text);
    if let Some(toolchain) = toolchain(text) {
        return semver::parse(&toolchain).map(|v| (v.numbers, v.pre));
    }
    semver::parse(text).map(|v| (v.numbers, v.pre))
}

/// `1.21rc2` is `1.21.0-rc.2`: letters follow the number without a separator.
fn toolchain(text: &str) -> Option<String> {
    let at = text.find(|c: char| c.is_ascii_lowercase())?;
    let (core, rest) = text.split_at(at);
    if core.is_empty() || !core.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let number = rest.find(|c: char| c.is_ascii_digit())?;
    let (word, number) = rest.split_at(number);
    if !matches!(word, "rc" | "beta" | "alpha") || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let zeros = if core.matches('.').count() < 2 { ".0" } else { "" };
    Some(format!("{core}{zeros}-{word}.{number}"))
}
