//! `ls-xargs`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "ls-xargs",
    refs: &["SC2011"],
    severity: Severity::Warning,
    default: true,
    finds: "The output of ls given to xargs.",
    why: "Names with spaces, quotes and line breaks fall apart.",
    instead: "Use find … -exec … {} +, or find -print0 | xargs -0.",
    bad: &["RUN ls | xargs rm\n"],
    good: &["RUN find . -print0 | xargs -0 rm\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (left, right) in script::pipes(&script.tree) {
                if left.name() == "ls" && right.name() == "xargs"
                    && let Some(word) = left.words.first()
                {
                    out.shell(word, "names fall apart in xargs");
                }
            }
        }
    },
};
