//! `several-cmds`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "several-cmds",
    refs: &["DL4003", "MultipleInstructionsDisallowed"],
    severity: Severity::Warning,
    default: true,
    finds: "More than one CMD in a stage.",
    why: "Only the last one counts.",
    instead: "Keep only one.",
    bad: &["FROM a:1\nCMD [\"a\"]\nCMD [\"b\"]\n"],
    good: &["FROM a:1\nCMD [\"a\"]\nFROM b:1\nCMD [\"b\"]\n"],
    test: |file, out| {
        for (_, _, instructions) in file.stages() {
            for extra in instructions.iter().filter(|i| matches!(i.kind, Kind::Cmd(_))).skip(1) {
                out.instruction(extra, "another CMD in the same stage");
            }
        }
    },
};
