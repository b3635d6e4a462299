//! `tr-pattern`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "tr-pattern",
    refs: &["SC2060"],
    severity: Severity::Warning,
    default: true,
    finds: "Brackets for tr outside quotes.",
    why: "Where a file has such a name, the shell puts its name there.",
    instead: "Quote them.",
    bad: &["RUN tr -d [a-z]\n"],
    good: &["RUN tr -d 'a-z'\n", "RUN tr '[:upper:]' '[:lower:]'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        for word in c.arguments().iter().filter(|w| c.name() == "tr" && script::has_bracket(w)) {
            out.shell(word, "the shell looks for files with such a name");
        }
            }
        }
    },
};
