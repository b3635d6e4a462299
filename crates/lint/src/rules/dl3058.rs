//! `label-not-an-address`

use super::{Rule, Severity, labels};
use crate::options::LabelType;

pub(super) static RULE: Rule = Rule {
    id: "label-not-an-address",
    refs: &["DL3058"],
    severity: Severity::Warning,
    default: true,
    finds: "A label that must be an e-mail address and is none.",
    why: "Tools that read labels expect one.",
    instead: "Write name@domain.",
    bad: &["FROM a:1\nLABEL mail=me\n"],
    good: &["FROM a:1\nLABEL mail=me@example.com\n"],
    test: |file, out| labels::of_type(file, out, LabelType::Email, "no e-mail address", |v| {
        v.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.') && !v.contains(char::is_whitespace) && !domain.contains('@'))
    }),
};
