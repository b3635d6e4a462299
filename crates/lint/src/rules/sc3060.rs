//! `sh-replace`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-replace",
    refs: &["SC3060"],
    severity: Severity::Warning,
    default: true,
    finds: "A replacement in a string, ${x/a/b}, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use sed, or set SHELL to bash.",
    bad: &["RUN echo \"${X/a/b}\"\n"],
    good: &["RUN echo \"${X%a}\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo \"${X/a/b}\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for (piece, _, _) in word.variables().filter(|(_, _, rest)| rest.starts_with('/')) {
                out.at(piece.start, piece.end, "sh cannot replace in strings");
            }
        }
        }
    },
};
