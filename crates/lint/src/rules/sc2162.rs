//! `read-without-r`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "read-without-r",
    refs: &["SC2162"],
    severity: Severity::Info,
    default: true,
    finds: "read without -r.",
    why: "Backslashes in what is read disappear.",
    instead: "Use read -r.",
    bad: &["RUN while read X; do echo \"$X\"; done < f\n"],
    good: &["RUN while read -r X; do echo \"$X\"; done < f\n", "RUN read -rp x y && echo \"$y\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if let Some(word) = c.words.first().filter(|w| w.text == "read" && !c.has_flag('r', "")) {
            out.shell(word, "backslashes disappear");
            out.insert(word.end, " -r");
        }
            }
        }
    },
};
