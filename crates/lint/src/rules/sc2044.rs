//! `for-in-find`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "for-in-find",
    refs: &["SC2044"],
    severity: Severity::Warning,
    default: true,
    finds: "A loop over the output of find.",
    why: "It splits names at every space.",
    instead: "Use find -exec, or while read with -print0.",
    bad: &["RUN for i in $(find .); do echo \"$i\"; done\n"],
    good: &["RUN find . -exec echo {} +\n"],
    test: |file, out| {
        for script in file.scripts() {
            script::loops_over_commands(script, |piece, c| {
                if c.name() == "find" {
                    out.at(piece.start, piece.end, "names with spaces fall apart");
                }
            });
        }
    },
};
