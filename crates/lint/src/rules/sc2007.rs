//! `old-arithmetic`

use super::{Rule, Severity};
use crate::shell::{Piece, PieceKind};

pub(super) static RULE: Rule = Rule {
    id: "old-arithmetic",
    refs: &["SC2007"],
    severity: Severity::Style,
    default: true,
    finds: "Arithmetic in $[…].",
    why: "Only bash reads it, and its manual calls it deprecated.",
    instead: "Write $((…)).",
    bad: &["RUN echo $[1+1]\n"],
    good: &["RUN echo $((1+1))\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, word) in script.tree.words() {
                let plain = |p: &Piece| p.kind == PieceKind::Literal && p.string.is_none();
                for pair in word.pieces.windows(2) {
                    let [dollar, next] = pair else { continue };
                    if plain(dollar) && plain(next) && dollar.text == "$" && next.text.starts_with('[') {
                        out.at(dollar.start, word.end, "$[…] is deprecated");
                    }
                }
                if word.pieces.iter().any(|p| plain(p) && p.text.contains("$[")) {
                    out.shell(word, "$[…] is deprecated");
                }
            }
        }
    },
};
