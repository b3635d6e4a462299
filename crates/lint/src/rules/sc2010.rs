//! `ls-grep`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "ls-grep",
    refs: &["SC2010"],
    severity: Severity::Warning,
    default: true,
    finds: "The output of ls searched with grep.",
    why: "Names with line breaks and unusual characters come out changed.",
    instead: "Use a pattern (*.txt), find, or a loop with a condition.",
    bad: &["RUN ls | grep x\n"],
    good: &["RUN ls *x*\n", "RUN ls /x\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (left, right) in script::pipes(&script.tree) {
                if left.name() == "ls" && ["grep", "egrep", "fgrep"].contains(&right.name())
                    && let Some(word) = left.words.first()
                {
                    out.shell(word, "ls is for people to read");
                }
            }
        }
    },
};
