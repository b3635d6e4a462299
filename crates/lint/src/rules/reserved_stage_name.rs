//! `reserved-stage-name`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "reserved-stage-name",
    refs: &["DL3063", "ReservedStageName"],
    severity: Severity::Error,
    default: true,
    finds: "A stage called scratch or context.",
    why: "These names mean something else to the builder.",
    instead: "Use another name.",
    bad: &["FROM a:1 AS scratch\n"],
    good: &["FROM scratch AS base\n"],
    test: |file, out| {
        for (_, from, _) in file.stages() {
            if let Some(name) = from.name.as_ref().filter(|n| ["scratch", "context"].contains(&n.value.to_lowercase().as_str())) {
                out.word(name, format!("`{}` is a reserved name", name.value));
            }
        }
    },
};
