//! `egrep`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "egrep",
    refs: &["SC2196"],
    severity: Severity::Info,
    default: true,
    finds: "The program egrep.",
    why: "It is not part of POSIX, and GNU's says so at every run.",
    instead: "Use grep -E.",
    bad: &["RUN egrep x f\n"],
    good: &["RUN grep -E x f\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if let Some(word) = c.words.first().filter(|w| w.text == "egrep") {
            out.shell(word, "egrep is obsolete");
            out.replace(word.start, word.end, "grep -E");
        }
            }
        }
    },
};
