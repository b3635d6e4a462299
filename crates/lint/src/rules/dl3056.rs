//! `label-not-a-version`

use super::{Rule, Severity, labels};
use crate::options::LabelType;

pub(super) static RULE: Rule = Rule {
    id: "label-not-a-version",
    refs: &["DL3056"],
    severity: Severity::Warning,
    default: true,
    finds: "A label that must be a semantic version and is none.",
    why: "Tools that read labels expect one.",
    instead: "Write MAJOR.MINOR.PATCH.",
    bad: &["FROM a:1\nLABEL version=1.0\n", "FROM a:1\nLABEL version=01.0.0\n"],
    good: &["FROM a:1\nLABEL version=1.0.0\n", "FROM a:1\nLABEL version=1.0.0-rc.1+build.5\n"],
    test: |file, out| labels::of_type(file, out, LabelType::SemanticVersion, "no semantic version", |text| is_version(text, file.options.as_hadolint)),
};

/// hadolint lets numbers begin with zeros.
fn is_version(text: &str, as_hadolint: bool) -> bool {
    let (text, build) = text.split_once('+').map_or((text, None), |(t, b)| (t, Some(b)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(c, p)| (c, Some(p)));
    let number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && (as_hadolint || n == "0" || !n.starts_with('0'));
    let identifier = |i: &str| !i.is_empty() && i.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let pre_ok = |i: &str| identifier(i) && (!i.bytes().all(|b| b.is_ascii_digit()) || number(i));
    core.split('.').count() == 3 && core.split('.').all(number) && pre.is_none_or(|p| p.split('.').all(pre_ok)) && build.is_none_or(|b| b.split('.').all(identifier))
}
