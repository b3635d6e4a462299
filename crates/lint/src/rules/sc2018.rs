//! `tr-lower-case-range`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "tr-lower-case-range",
    refs: &["SC2018"],
    severity: Severity::Info,
    default: true,
    finds: "tr with the range a-z.",
    why: "It leaves out letters with accents, and those of other alphabets.",
    instead: "Write '[:lower:]' where they are meant, too.",
    bad: &["RUN tr 'a-z' x\n", "RUN tr a-z x\n"],
    good: &["RUN tr '[:lower:]' x\n", "RUN grep a-z f\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
                for word in c.arguments().iter().filter(|w| c.name() == "tr" && w.plain() == Some("a-z")) {
                    out.shell(word, "only the letters of ASCII");
                }
            }
        }
    },
};
