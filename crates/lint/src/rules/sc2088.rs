//! `quoted-tilde`

use super::{Rule, Severity};
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "quoted-tilde",
    refs: &["SC2088"],
    severity: Severity::Warning,
    default: true,
    finds: "A tilde in quotes.",
    why: "It is not expanded there.",
    instead: "Write \"$HOME/…\".",
    bad: &["RUN echo \"~/x\"\n", "RUN ls '~/x'\n"],
    good: &["RUN echo ~/x\n", "RUN echo \"a~/x\"\n", "RUN echo \"~\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, word) in script.tree.words() {
                let value = word.assignment().is_some();
                let at = word.pieces.iter().position(|p| !(value && p.kind == PieceKind::Literal && p.string.is_none() && p.text.ends_with('=')));
                let Some(piece) = at.and_then(|i| word.pieces.get(i)) else { continue };
                let quoted = match piece.kind {
                    PieceKind::Single => piece.text.starts_with("'~/"),
                    PieceKind::Literal => piece.string.is_some() && piece.text.starts_with("~/"),
                    _ => false,
                };
                if quoted {
                    out.at(piece.start, piece.end, "a tilde in quotes is a plain character");
                }
            }
        }
    },
};
