//! `sh-redirect-to-file`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-redirect-to-file",
    refs: &["SC3021"],
    severity: Severity::Warning,
    default: true,
    finds: ">& with a file for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write >FILE 2>&1.",
    bad: &["RUN ls >& x\n"],
    good: &["RUN ls >&2\n", "RUN ls > x 2>&1\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN ls >& x\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for redirect in script::redirects(&script.tree).filter(|r| r.operator == ">&") {
            let number = !redirect.target.text.is_empty() && redirect.target.text.chars().all(|c| c.is_ascii_digit() || c == '-');
            if !number && !redirect.target.expands {
                out.at(redirect.start, redirect.start + 2, "sh wants a number here");
            }
        }
        }
    },
};
