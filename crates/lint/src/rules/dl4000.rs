//! `maintainer-instruction`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "maintainer-instruction",
    refs: &["DL4000", "MaintainerDeprecated"],
    severity: Severity::Error,
    default: true,
    finds: "MAINTAINER.",
    why: "It is deprecated: builders drop it one day.",
    instead: "Use LABEL org.opencontainers.image.authors=….",
    bad: &["FROM a:1\nMAINTAINER me\n"],
    good: &["FROM a:1\nLABEL org.opencontainers.image.authors=me\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Maintainer(word) = &instruction.kind else { continue };
            out.instruction(instruction, "MAINTAINER is deprecated");
            let name = word.value.trim().trim_matches('"').replace('\\', "\\\\").replace('"', "\\\"");
            out.replace(instruction.span.start.offset, instruction.span.end.offset, format!("LABEL org.opencontainers.image.authors=\"{name}\""));
        }
    },
};
