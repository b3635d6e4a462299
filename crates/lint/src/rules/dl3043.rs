//! `forbidden-trigger`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "forbidden-trigger",
    refs: &["DL3043"],
    severity: Severity::Error,
    default: true,
    finds: "ONBUILD with ONBUILD, FROM or MAINTAINER.",
    why: "Builds on the image fail.",
    instead: "Use another instruction.",
    bad: &["FROM a:1\nONBUILD FROM b\n"],
    good: &["FROM a:1\nONBUILD RUN x\n"],
    test: |file, out| {
        for instruction in &file.dockerfile.instructions {
            if let Kind::Onbuild(trigger) = &instruction.kind
                && ["ONBUILD", "FROM", "MAINTAINER"].contains(&trigger.name())
            {
                out.instruction(trigger, format!("{} cannot be a trigger", trigger.name()));
            }
        }
        // What the parser refuses altogether is not in the tree.
        let mut offset = 0;
        for line in file.dockerfile.text.split_inclusive('\n') {
            let mut words = line.split_whitespace();
            let is_trigger = words.next().is_some_and(|w| w.eq_ignore_ascii_case("ONBUILD"));
            let second = words.next().unwrap_or("").to_ascii_uppercase();
            let known = file.dockerfile.instructions.iter().any(|i| i.span.start.offset <= offset && offset < i.span.end.offset);
            if is_trigger && !known && ["ONBUILD", "FROM", "MAINTAINER"].contains(&second.as_str()) {
                out.at(offset, offset + line.trim_end().len(), format!("{second} cannot be a trigger"));
            }
            offset += line.len();
        }
    },
};
