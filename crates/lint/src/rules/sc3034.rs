//! `sh-file-substitution`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "sh-file-substitution",
    refs: &["SC3034"],
    severity: Severity::Warning,
    default: true,
    finds: "$(<file) for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash gives nothing.",
    instead: "Write $(cat file).",
    bad: &["RUN echo \"$(<f)\"\n"],
    good: &["RUN echo \"$(cat f)\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo \"$(<f)\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
            for piece in script.tree.words().flat_map(|(_, w)| &w.pieces) {
                let inside = piece.text.strip_prefix("$(").filter(|_| piece.kind == PieceKind::Command).map_or("", str::trim_start);
                let only = inside.strip_prefix('<').is_some_and(|f| !f.starts_with(['<', '(', '&']) && !f.trim().contains([' ', ';', '&', '|']));
                if only {
                    out.at(piece.start, piece.end, "sh reads no file so");
                }
            }
        }
    },
};
