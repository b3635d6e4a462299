//! `glob-as-option`

use super::{Rule, Severity};
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "glob-as-option",
    refs: &["SC2035"],
    severity: Severity::Info,
    default: true,
    finds: "A pattern that begins with * or ? as an argument.",
    why: "A file whose name begins with a dash becomes an option.",
    instead: "Write ./* or put -- before it.",
    bad: &["RUN rm -f *\n", "RUN cp *.txt x\n"],
    good: &["RUN rm ./*\n", "RUN rm -- *\n", "RUN echo *\n", "RUN rm /tmp/*\n", "RUN for i in *; do echo \"$i\"; done\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let prints = ["echo", "printf", "[", "test", "cd", "pushd"].contains(&c.name());
        let ended = c.arguments().iter().position(|w| w.text == "--").unwrap_or(usize::MAX);
        for (i, word) in c.arguments().iter().enumerate().filter(|(i, _)| !prints && *i < ended) {
            let first = word.pieces.first().filter(|p| p.kind == PieceKind::Literal && p.string.is_none());
            if first.is_some_and(|p| p.text.starts_with(['*', '?'])) {
                out.at(word.start, word.start + 1, "a name with a dash in front would be an option");
            }
            let _ = i;
        }
            }
        }
    },
};
