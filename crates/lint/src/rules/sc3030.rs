//! `sh-array`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "sh-array",
    refs: &["SC3030"],
    severity: Severity::Warning,
    default: true,
    finds: "An array for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use several variables or the arguments (set --), or set SHELL to bash.",
    bad: &["RUN X=(a b); ls \"$X\"\n"],
    good: &["RUN X='a b'; ls \"$X\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN X=(a b); ls \"$X\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, c) in script.tree.simple() {
            for word in c.assignments.iter() {
                for piece in word.pieces.iter().filter(|p| p.kind == PieceKind::Parentheses) {
                    out.at(piece.start, piece.end, "sh has no arrays");
                }
            }
        }
        }
    },
};
