//! `sh-here-string`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-here-string",
    refs: &["SC3011"],
    severity: Severity::Warning,
    default: true,
    finds: "A here-string, <<<, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use printf and a pipe, or set SHELL to bash.",
    bad: &["RUN cat <<< x\n"],
    good: &["RUN echo x | cat\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN cat <<< x\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for redirect in script::redirects(&script.tree).filter(|r| r.operator.ends_with("<<<")) {
            out.at(redirect.start, redirect.start + redirect.operator.len(), "sh has no here-strings");
        }
        }
    },
};
