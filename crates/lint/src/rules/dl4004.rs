//! `several-entrypoints`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "several-entrypoints",
    refs: &["DL4004", "MultipleInstructionsDisallowed"],
    severity: Severity::Error,
    default: true,
    finds: "More than one ENTRYPOINT in a stage.",
    why: "Only the last one counts.",
    instead: "Keep only one.",
    bad: &["FROM a:1\nENTRYPOINT [\"a\"]\nENTRYPOINT [\"b\"]\n"],
    good: &["FROM a:1\nENTRYPOINT [\"a\"]\n"],
    test: |file, out| {
        for (_, _, instructions) in file.stages() {
            for extra in instructions.iter().filter(|i| matches!(i.kind, Kind::Entrypoint(_))).skip(1) {
                out.instruction(extra, "another ENTRYPOINT in the same stage");
            }
        }
    },
};
