//! `sh-double-equals`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-double-equals",
    refs: &["SC3014"],
    severity: Severity::Warning,
    default: true,
    finds: "== in [ … ] for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write =.",
    bad: &["RUN [ \"$X\" == a ]\n"],
    good: &["RUN [ \"$X\" = a ]\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN [ \"$X\" == a ]\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for word in script::test_words(&script.tree).filter(|w| w.raw == "==") {
            out.shell(word, "sh compares with =");
            out.replace(word.start, word.end, "=");
        }
        }
    },
};
