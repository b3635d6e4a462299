//! `single-quoted-expansion`

use super::{Rule, Severity, script};
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "single-quoted-expansion",
    refs: &["SC2016"],
    severity: Severity::Info,
    default: true,
    finds: "A variable or a command substitution in single quotes.",
    why: "Nothing is expanded there.",
    instead: "Use double quotes where it is meant; for a literal dollar sign, escape it.",
    bad: &["RUN echo '$X'\n", "RUN sed 's/$X/b/' f\n"],
    good: &["RUN echo \"$X\"\n", "RUN awk '{print $1}' f\n", "RUN sh -c 'echo $X'\n", "RUN sed 's/a$/b/' f\n", "RUN echo '$' '$ 1'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if script::expands_itself(c) {
            continue;
        }
        for word in c.assignments.iter().chain(&c.words) {
            for piece in word.pieces.iter().filter(|p| p.kind == PieceKind::Single) {
                if script::looks_expanded(&piece.text, c.name() == "sed") {
                    out.at(piece.start, piece.end, "nothing is expanded in single quotes");
                }
            }
        }
            }
        }
    },
};
