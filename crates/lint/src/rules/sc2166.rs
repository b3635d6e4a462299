//! `test-and-or`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "test-and-or",
    refs: &["SC2166"],
    severity: Severity::Warning,
    default: true,
    finds: "-a or -o in [ … ].",
    why: "With some words around it means something else; POSIX calls it obsolescent.",
    instead: "Write [ … ] && [ … ].",
    bad: &["RUN [ \"$X\" = a -a \"$Y\" = b ]\n"],
    good: &["RUN [ \"$X\" = a ] && [ \"$Y\" = b ]\n", "RUN [ -a x ]\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        for word in c.arguments().iter().skip(1).filter(|_| matches!(c.name(), "[" | "test")) {
            if !word.quoted && matches!(word.text.as_str(), "-a" | "-o") {
                out.shell(word, "&& and || say what is meant");
            }
        }
            }
        }
    },
};
