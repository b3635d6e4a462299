//! `sh-indirect`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-indirect",
    refs: &["SC3053"],
    severity: Severity::Warning,
    default: true,
    finds: "An indirect expansion, ${!x}, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use eval with care, or set SHELL to bash.",
    bad: &["RUN echo \"${!X}\"\n"],
    good: &["RUN echo \"$X\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo \"${!X}\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for (piece, _, _) in word.variables().filter(|(_, name, _)| name.len() > 1 && name.starts_with('!')) {
                out.at(piece.start, piece.end, "sh has no indirect expansion");
            }
        }
        }
    },
};
