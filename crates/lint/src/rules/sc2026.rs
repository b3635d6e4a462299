//! `quotes-around-nothing`

use super::{Rule, Severity};
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "quotes-around-nothing",
    refs: &["SC2026"],
    severity: Severity::Info,
    default: true,
    finds: "A word between two single-quoted parts.",
    why: "The quotes end before it: it stands outside of them.",
    instead: "Quote the whole, with the other kind of quotes.",
    bad: &["RUN echo 'a'b'c'\n", "RUN echo '{\"a\":'1'}'\n"],
    good: &["RUN echo 'it'\\''s'\n", "RUN echo 'a'$X'b'\n", "RUN echo 'a' 'b'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, word) in script.tree.words() {
                for pair in word.pieces.windows(2) {
                    let [quoted, plain] = pair else { continue };
                    let word_like = |t: &str| !t.is_empty() && t.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
                    if quoted.kind == PieceKind::Single && plain.kind == PieceKind::Literal && plain.string.is_none() && word_like(&plain.text) {
                        out.at(plain.start, plain.end, "this stands outside of the quotes");
                    }
                }
            }
        }
    },
};
