//! `for-in-cat`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "for-in-cat",
    refs: &["SC2013"],
    severity: Severity::Info,
    default: true,
    finds: "A loop over the words of a file.",
    why: "It splits at every space, not at line ends.",
    instead: "Write while IFS= read -r line; do … done <file.",
    bad: &["RUN for i in $(cat f); do echo \"$i\"; done\n"],
    good: &["RUN while read -r i; do echo \"$i\"; done <f\n", "RUN for i in $(seq 3); do echo \"$i\"; done\n"],
    test: |file, out| {
        for script in file.scripts() {
            script::loops_over_commands(script, |piece, c| {
                if c.name() == "cat" {
                    out.at(piece.start, piece.end, "this loops over words, not over lines");
                }
            });
        }
    },
};
