//! `sh-case-change`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-case-change",
    refs: &["SC3059"],
    severity: Severity::Warning,
    default: true,
    finds: "A change of case, ${x^^}, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use tr, or set SHELL to bash.",
    bad: &["RUN echo \"${X^^}\"\n"],
    good: &["RUN echo \"$X\" | tr a b\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo \"${X^^}\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for (piece, _, _) in word.variables().filter(|(_, _, rest)| rest.starts_with(['^', ','])) {
                out.at(piece.start, piece.end, "sh cannot change case");
            }
        }
        }
    },
};
