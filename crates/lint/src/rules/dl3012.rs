//! `several-healthchecks`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "several-healthchecks",
    refs: &["DL3012", "MultipleInstructionsDisallowed"],
    severity: Severity::Error,
    default: true,
    finds: "More than one HEALTHCHECK in a stage.",
    why: "Only the last one counts.",
    instead: "Keep only one.",
    bad: &["FROM a:1\nHEALTHCHECK CMD a\nHEALTHCHECK CMD b\n"],
    good: &["FROM a:1\nHEALTHCHECK CMD a\nFROM b:1\nHEALTHCHECK CMD b\n"],
    test: |file, out| {
        for (_, _, instructions) in file.stages() {
            for extra in instructions.iter().filter(|i| matches!(i.kind, Kind::Healthcheck(_))).skip(1) {
                out.instruction(extra, "another HEALTHCHECK in the same stage");
            }
        }
    },
};
