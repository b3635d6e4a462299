//! `sh-regex-match`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-regex-match",
    refs: &["SC3015"],
    severity: Severity::Warning,
    default: true,
    finds: "=~ for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use case, expr or grep, or set SHELL to bash.",
    bad: &["RUN [[ \"$X\" =~ a ]]\n"],
    good: &["RUN case $X in a*) ls;; esac\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN [[ \"$X\" =~ a ]]\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for word in script::test_words(&script.tree).filter(|w| w.raw == "=~") {
            out.shell(word, "sh matches no regular expressions");
        }
        }
    },
};
