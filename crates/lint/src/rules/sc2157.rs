//! `constant-length`

use super::{Rule, Severity, script};
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "constant-length",
    refs: &["SC2157"],
    severity: Severity::Error,
    default: true,
    finds: "-n or -z of a text that is never empty.",
    why: "The answer is always the same: perhaps a $ is missing.",
    instead: "Test a variable alone.",
    bad: &["RUN [ -n x ]\n", "RUN [ -z \"x$Y\" ]\n"],
    good: &["RUN [ -n \"$X\" ]\n", "RUN [ -z \"$X$Y\" ]\n"],
    test: |file, out| {
        for script in file.scripts() {
            for words in script::bracket_words(&script.tree) {
                let Some(at) = words.iter().position(|w| w.raw == "-n" || w.raw == "-z").filter(|at| *at <= 1) else { continue };
                let literal = |w: &&crate::shell::Word| w.raw != "]" && w.pieces.iter().any(|p| {
                    matches!(p.kind, PieceKind::Literal | PieceKind::Single | PieceKind::Escaped) && !p.text.trim_matches('\'').is_empty()
                });
                if let Some(word) = words.get(at + 1).filter(literal) {
                    out.shell(word, "this is never empty");
                }
            }
        }
    },
};
