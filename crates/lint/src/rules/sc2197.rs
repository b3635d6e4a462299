//! `fgrep`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "fgrep",
    refs: &["SC2197"],
    severity: Severity::Info,
    default: true,
    finds: "The program fgrep.",
    why: "It is not part of POSIX, and GNU's says so at every run.",
    instead: "Use grep -F.",
    bad: &["RUN fgrep x f\n"],
    good: &["RUN grep -F x f\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if let Some(word) = c.words.first().filter(|w| w.text == "fgrep") {
            out.shell(word, "fgrep is obsolete");
            out.replace(word.start, word.end, "grep -F");
        }
            }
        }
    },
};
