//! `sh-dollar-quote`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::PieceKind;

pub(super) static RULE: Rule = Rule {
    id: "sh-dollar-quote",
    refs: &["SC3003"],
    severity: Severity::Warning,
    default: true,
    finds: "A $'…' string for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use printf, or set SHELL to bash.",
    bad: &["RUN echo $'a'\n"],
    good: &["RUN echo 'a'\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo $'a'\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for pair in word.pieces.windows(2) {
                if let [dollar, quoted] = pair && dollar.kind == PieceKind::DollarQuote && quoted.kind == PieceKind::Single {
                    out.at(dollar.start, quoted.end, "sh takes the dollar sign as it stands");
                }
            }
        }
        }
    },
};
