//! `trap-expands-now`

use super::{Rule, Severity};
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "trap-expands-now",
    refs: &["SC2064"],
    severity: Severity::Warning,
    default: true,
    finds: "A variable in double quotes in a trap.",
    why: "It is expanded when the trap is set, not when the signal comes.",
    instead: "Use single quotes.",
    bad: &["RUN trap \"rm $X\" EXIT\n"],
    good: &["RUN trap 'rm $X' EXIT\n", "RUN trap \"ls\" EXIT\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if let Some(word) = c.arguments().first().filter(|_| c.name() == "trap") {
            for piece in word.pieces.iter().filter(|p| p.string.is_some() && matches!(p.kind, PieceKind::Variable | PieceKind::Command | PieceKind::Backquotes)) {
                out.at(piece.start, piece.end, "this is expanded now");
            }
        }
            }
        }
    },
};
