//! `quotes-that-unquote`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "quotes-that-unquote",
    refs: &["SC2027"],
    severity: Severity::Warning,
    default: true,
    finds: "An expansion between two double-quoted parts.",
    why: "The quotes end before it: it stands outside of them, and is split.",
    instead: "Leave out the inner quotes.",
    bad: &["RUN echo \"a\"${X}\"b\"\n", "RUN echo \"a\"$(ls)\"b\"\n"],
    good: &["RUN echo \"a${X}b\"\n", "RUN echo \"a\"${X}\n", "RUN echo 'a'\"$X\"'b'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, word) in script.tree.words() {
                for three in word.pieces.windows(3) {
                    let [before, inner, after] = three else { continue };
                    let between = before.string.is_some() && after.string.is_some() && inner.string.is_none();
                    if between && inner.splits() {
                        out.at(inner.start, inner.end, "this stands outside of the quotes");
                    }
                }
            }
        }
    },
};
