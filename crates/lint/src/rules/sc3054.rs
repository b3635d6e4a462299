//! `sh-array-reference`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-array-reference",
    refs: &["SC3054"],
    severity: Severity::Warning,
    default: true,
    finds: "An element of an array, ${x[0]}, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Set SHELL to bash, or do without.",
    bad: &["RUN echo \"${X[0]}\"\n"],
    good: &["RUN echo \"$X\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo \"${X[0]}\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for (piece, name, _) in word.variables().filter(|(_, _, rest)| rest.starts_with('[')) {
                if !name.starts_with(['#', '!']) {
                    out.at(piece.start, piece.end, "sh has no arrays");
                }
            }
        }
        }
    },
};
