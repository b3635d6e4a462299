//! `empty-label`

use super::{Rule, Severity, labels};

pub(super) static RULE: Rule = Rule {
    id: "empty-label",
    refs: &["DL3051"],
    severity: Severity::Warning,
    default: true,
    finds: "A label of the schema without a value.",
    why: "Tools that read labels expect one.",
    instead: "Give it a value.",
    bad: &["FROM a:1\nLABEL text=\"\"\n"],
    good: &["FROM a:1\nLABEL text=x\n"],
    test: |file, out| labels::each(file, out, |_, value| value.is_empty().then(|| "is empty".to_owned())),
};
