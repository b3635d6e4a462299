//! `backquotes`

use super::{Rule, Severity};
use crate::model::Edit;
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "backquotes",
    refs: &["SC2006"],
    severity: Severity::Style,
    default: true,
    finds: "A command substitution in backquotes.",
    why: "They cannot be nested, and backslashes in them mean something else.",
    instead: "Write $(…).",
    bad: &["RUN X=`ls` && echo \"$X\"\n"],
    good: &["RUN X=$(ls) && echo \"$X\"\n", "RUN echo '`ls`'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, word) in script.tree.words() {
                for piece in word.pieces.iter().filter(|p| p.kind == PieceKind::Backquotes) {
                    out.at(piece.start, piece.end, "backquotes");
                    // Backslashes in them would have to be read anew, and line breaks of the file stay where they are.
                    if !piece.text.contains('\\') && piece.end - piece.start == piece.text.len() && piece.text.len() >= 2 {
                        out.fix(vec![
                            Edit { start: piece.start, end: piece.start + 1, text: "$(".into() },
                            Edit { start: piece.end - 1, end: piece.end, text: ")".into() },
                        ]);
                    }
                }
            }
        }
    },
};
