//! `sh-process-substitution`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "sh-process-substitution",
    refs: &["SC3001"],
    severity: Severity::Warning,
    default: true,
    finds: "A process substitution, <(…), for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use a pipe or a file, or set SHELL to bash.",
    bad: &["RUN cat <(ls)\n"],
    good: &["RUN ls | cat\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN cat <(ls)\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for piece in word.pieces.iter().filter(|p| p.kind == PieceKind::Process) {
                out.at(piece.start, piece.end, "sh has no process substitution");
            }
        }
        }
    },
};
