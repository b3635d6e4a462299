//! `tr-upper-case-range`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "tr-upper-case-range",
    refs: &["SC2019"],
    severity: Severity::Info,
    default: true,
    finds: "tr with the range A-Z.",
    why: "It leaves out letters with accents, and those of other alphabets.",
    instead: "Write '[:upper:]' where they are meant, too.",
    bad: &["RUN tr 'A-Z' x\n", "RUN tr A-Z x\n"],
    good: &["RUN tr '[:upper:]' x\n", "RUN grep A-Z f\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
                for word in c.arguments().iter().filter(|w| c.name() == "tr" && w.plain() == Some("A-Z")) {
                    out.shell(word, "only the letters of ASCII");
                }
            }
        }
    },
};
