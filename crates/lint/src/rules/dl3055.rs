//! `label-not-a-hash`

use super::{Rule, Severity, labels};
use crate::options::LabelType;

pub(super) static RULE: Rule = Rule {
    id: "label-not-a-hash",
    refs: &["DL3055"],
    severity: Severity::Warning,
    default: true,
    finds: "A label that must be a Git hash and is none.",
    why: "Tools that read labels expect one.",
    instead: "Write the hash of the commit.",
    bad: &["FROM a:1\nLABEL hash=main\n"],
    good: &["FROM a:1\nLABEL hash=0123456\n", "FROM a:1\nLABEL hash=0123456789012345678901234567890123456789\n"],
    test: |file, out| labels::of_type(file, out, LabelType::GitHash, "no Git hash", |v| {
        (v.len() == 40 || v.len() == 7) && v.bytes().all(|b| b.is_ascii_hexdigit())
    }),
};
