//! `sh-substring`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-substring",
    refs: &["SC3057"],
    severity: Severity::Warning,
    default: true,
    finds: "A part of a string, ${x:1:2}, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use cut or expr, or set SHELL to bash.",
    bad: &["RUN echo \"${X:1:2}\"\n"],
    good: &["RUN echo \"${X:-1}\"\n", "RUN echo \"${X#a}\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo \"${X:1:2}\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for (piece, _, rest) in word.variables() {
                let part = rest.strip_prefix(':').is_some_and(|r| !r.starts_with(['-', '=', '+', '?']) && !r.is_empty());
                if part {
                    out.at(piece.start, piece.end, "sh cannot cut strings");
                }
            }
        }
        }
    },
};
