//! `grep-wc`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "grep-wc",
    refs: &["SC2126"],
    severity: Severity::Style,
    default: true,
    finds: "The lines that grep finds counted with wc.",
    why: "grep counts them itself.",
    instead: "Use grep -c.",
    bad: &["RUN grep x f | wc -l\n"],
    good: &["RUN grep -c x f\n", "RUN grep -o x f | wc -l\n", "RUN grep x f | wc\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (left, right) in script::pipes(&script.tree) {
                let other = left.has_flag('o', "only-matching") || left.has_flag('l', "files-with-matches") || left.has_flag('L', "files-without-match")
                    || left.has_flag('r', "recursive") || left.has_flag('R', "") || left.has_flag('A', "after-context") || left.has_flag('B', "before-context");
                let lines = right.name() == "wc" && right.has_flag('l', "lines") && !right.has_flag('c', "bytes") && !right.has_flag('w', "words") && !right.has_flag('m', "chars");
                if left.name() == "grep" && lines && !other {
                    script::whole(out, left, "grep -c counts");
                }
            }
        }
    },
};
