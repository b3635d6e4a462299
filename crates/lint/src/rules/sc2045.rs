//! `for-in-ls`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "for-in-ls",
    refs: &["SC2045"],
    severity: Severity::Error,
    default: true,
    finds: "A loop over the output of ls.",
    why: "It splits names at every space.",
    instead: "Use a pattern: for i in *.",
    bad: &["RUN for i in $(ls); do echo \"$i\"; done\n"],
    good: &["RUN for i in *; do echo \"$i\"; done\n"],
    test: |file, out| {
        for script in file.scripts() {
            script::loops_over_commands(script, |piece, c| {
                if c.name() == "ls" {
                    out.at(piece.start, piece.end, "names with spaces fall apart");
                }
            });
        }
    },
};
