//! `unquoted-array`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "unquoted-array",
    refs: &["SC2068"],
    severity: Severity::Error,
    default: true,
    finds: "$@ or an array outside quotes.",
    why: "Its elements are split again at spaces.",
    instead: "Write \"$@\" or \"${NAME[@]}\".",
    bad: &["RUN echo $@\n"],
    good: &["RUN echo \"$@\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            script::split_pieces(script, |_, piece| {
                if piece.variable().is_some_and(|(name, rest)| name == "@" || rest.starts_with("[@")) {
                    out.at(piece.start, piece.end, "elements are split again at spaces");
                }
            });
        }
    },
};
