//! `sh-brace-expansion`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-brace-expansion",
    refs: &["SC3009"],
    severity: Severity::Warning,
    default: true,
    finds: "A brace expansion for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write the words out, or set SHELL to bash.",
    bad: &["RUN mkdir -p x/{a,b}\n", "RUN echo {1..3}\n"],
    good: &["RUN mkdir -p x/a x/b\n", "RUN echo \"{a,b}\"\n", "RUN find . -exec ls {} +\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN mkdir -p x/{a,b}\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, word) in script.tree.words() {
            for (start, end) in script::brace_expansions(word) {
                out.at(start, end, "sh takes the braces as they stand");
            }
        }
        }
    },
};
