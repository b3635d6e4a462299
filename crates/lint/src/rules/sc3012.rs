//! `sh-lexicographical`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-lexicographical",
    refs: &["SC3012"],
    severity: Severity::Warning,
    default: true,
    finds: "A comparison of order in [ … ] for sh.",
    why: "The step's shell is sh, which need not know it.",
    instead: "Compare with sort, or set SHELL to bash.",
    bad: &["RUN [ \"$X\" \\< y ]\n"],
    good: &["RUN [ \"$X\" -lt 2 ]\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN [ \"$X\" \\< y ]\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
            for word in script::test_words(&script.tree).filter(|w| ["\\<", "\\>", "<", ">"].contains(&w.raw.as_str())) {
                out.shell(word, "sh has no comparison of order");
            }
        }
    },
};
