//! `sh-trap-err`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-trap-err",
    refs: &["SC3047"],
    severity: Severity::Warning,
    default: true,
    finds: "A trap of ERR, DEBUG or RETURN for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use set -e, or set SHELL to bash.",
    bad: &["RUN trap ls ERR\n"],
    good: &["RUN trap ls EXIT\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN trap ls ERR\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, c) in script.tree.simple().filter(|(_, c)| c.name() == "trap") {
            for word in c.arguments().iter().skip(1).filter(|w| ["ERR", "DEBUG", "RETURN"].contains(&w.text.as_str())) {
                out.shell(word, format!("sh cannot trap {}", word.text));
            }
        }
        }
    },
};
