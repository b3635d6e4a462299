//! `instruction-before-from`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "instruction-before-from",
    refs: &["DL3061"],
    severity: Severity::Error,
    default: true,
    finds: "An instruction other than ARG before the first FROM.",
    why: "The build fails.",
    instead: "Begin with FROM.",
    bad: &["RUN x\nFROM a:1\n"],
    good: &["ARG X\nFROM a:1\n", "RUN x\n"],
    test: |file, out| {
        // A fragment has no FROM at all, and that is no mistake of its own.
        if file.dockerfile.stages.is_empty() && !file.options.as_hadolint {
            return;
        }
        for instruction in file.dockerfile.preamble() {
            if !matches!(instruction.kind, Kind::Arg(_)) {
                out.instruction(instruction, format!("{} before the first FROM", instruction.name()));
            }
        }
    },
};
