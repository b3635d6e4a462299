//! `array-without-index`

use super::{Rule, Severity};
use crate::shell::variables;

pub(super) static RULE: Rule = Rule {
    id: "array-without-index",
    refs: &["SC2128"],
    severity: Severity::Warning,
    default: true,
    finds: "An array without an index.",
    why: "Only its first element is meant.",
    instead: "Write ${NAME[@]} in double quotes.",
    bad: &["SHELL [\"/bin/bash\", \"-c\"]\nRUN X=(a b); ls \"$X\"\n"],
    good: &["SHELL [\"/bin/bash\", \"-c\"]\nRUN X=(a b); ls \"${X[@]}\"\n", "RUN X=a; ls \"$X\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            let arrays = variables::arrays(&script.tree);
            for (_, word) in script.tree.words().filter(|_| !arrays.is_empty()) {
                for (piece, name, rest) in word.variables() {
                    if rest.is_empty() && arrays.iter().any(|(n, at)| *n == name && *at < piece.start) {
                        out.at(piece.start, piece.end, "only the first element");
                    }
                }
            }
        }
    },
};
