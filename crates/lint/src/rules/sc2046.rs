//! `unquoted-substitution`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "unquoted-substitution",
    refs: &["SC2046"],
    severity: Severity::Warning,
    default: true,
    finds: "A command substitution outside quotes.",
    why: "Its output is split at spaces, and patterns in it become file names.",
    instead: "Put it in double quotes.",
    bad: &["RUN mkdir $(date)\n", "RUN make -j$(nproc)\n"],
    good: &["RUN mkdir \"$(date)\"\n", "RUN X=$(date); echo \"$X\"\n", "RUN for i in $(ls); do echo \"$i\"; done\n", "RUN echo $(seq 3)\n"],
    test: |file, out| {
        for script in file.scripts() {
            script::split_pieces(script, |id, piece| {
                // What gives numbers one after another is meant to be split.
                let names = ["seq", "pgrep", "pidof"];
                let listed = script.tree.script_of(id, piece).and_then(|l| script.tree.only_command(l)).is_some_and(|c| names.contains(&c.name()));
                if script::is_command(piece) && !listed {
                    out.at(piece.start, piece.end, "the output is split at spaces");
                }
            });
        }
    },
};
