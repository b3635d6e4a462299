//! `stage-name-casing`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "stage-name-casing",
    refs: &["StageNameCasing"],
    severity: Severity::Style,
    default: true,
    finds: "A stage name with capital letters.",
    why: "Names are compared without case, so capitals mislead.",
    instead: "Use lower case.",
    bad: &["FROM a:1 AS Build\n"],
    good: &["FROM a:1 AS build\n"],
    test: |file, out| {
        for (_, from, _) in file.stages() {
            if let Some(name) = from.name.as_ref().filter(|n| n.value.chars().any(char::is_uppercase)) {
                out.word(name, format!("stage name `{}` has capitals", name.value));
                out.replace(name.span.start.offset, name.span.end.offset, name.value.to_lowercase());
            }
        }
    },
};
