//! `label-not-url`

use super::{Rule, Severity, labels};
use crate::options::LabelType;

pub(super) static RULE: Rule = Rule {
    id: "label-not-url",
    refs: &["DL3052"],
    severity: Severity::Warning,
    default: true,
    finds: "A label that must be a URL and is none.",
    why: "Tools that read labels expect one.",
    instead: "Write a whole URL.",
    bad: &["FROM a:1\nLABEL url=x\n"],
    good: &["FROM a:1\nLABEL url=https://example.com/x\n"],
    test: |file, out| labels::of_type(file, out, LabelType::Url, "no URL", |v| {
        v.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) && rest.len() > 2)
    }),
};
