//! `quotes-that-end-early`

use super::{Rule, Severity};
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "quotes-that-end-early",
    refs: &["SC2140"],
    severity: Severity::Warning,
    default: true,
    finds: "A word between two double-quoted parts.",
    why: "The quotes end before it: it stands outside of them.",
    instead: "Escape the inner quotes, or leave the outer ones.",
    bad: &["RUN echo \"a\"b\"c\"\n", "RUN echo \"{\"a\":1}\"\n"],
    good: &["RUN echo \"a\\\"b\"\n", "RUN echo \"a\"/\"b\"\n", "RUN echo \"a\" \"b\"\n", "RUN echo \"a\"b\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, word) in script.tree.words() {
                for three in word.pieces.windows(3) {
                    let [before, plain, after] = three else { continue };
                    let between = before.string.is_some() && after.string.is_some() && plain.string.is_none();
                    let letters = plain.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                    if between && plain.kind == PieceKind::Literal && letters {
                        out.at(plain.start, plain.end, "this stands outside of the quotes");
                    }
                }
            }
        }
    },
};
