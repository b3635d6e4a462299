//! `ls-piped`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "ls-piped",
    refs: &["SC2012"],
    severity: Severity::Info,
    default: true,
    finds: "The output of ls read by another program.",
    why: "Names with line breaks and unusual characters come out changed.",
    instead: "Use find or a pattern.",
    bad: &["RUN ls | wc -l\n"],
    good: &["RUN ls\n", "RUN ls | grep x\n", "RUN ls | xargs rm\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (left, right) in script::pipes_of(&script.tree) {
                let other = right.is_none_or(|r| !["grep", "egrep", "fgrep", "xargs"].contains(&r.name()));
                if left.name() == "ls" && other {
                    script::whole(out, left, "ls is for people to read");
                }
            }
        }
    },
};
