//! `grep-pattern`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "grep-pattern",
    refs: &["SC2062"],
    severity: Severity::Warning,
    default: true,
    finds: "A pattern for grep outside quotes.",
    why: "Where a file has such a name, the shell puts its name there.",
    instead: "Quote it.",
    bad: &["RUN grep [a-z] f\n", "RUN grep x* f\n"],
    good: &["RUN grep '[a-z]' f\n", "RUN grep x *.txt\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let pattern = c.operands().next().filter(|_| ["grep", "egrep"].contains(&c.name()));
        if let Some(word) = pattern.filter(|w| w.has_glob() || script::has_bracket(w)) {
            out.shell(word, "the shell looks for files with such a name");
        }
            }
        }
    },
};
