//! `sh-both-redirect`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-both-redirect",
    refs: &["SC3020"],
    severity: Severity::Warning,
    default: true,
    finds: "&> for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write >FILE 2>&1.",
    bad: &["RUN ls &> x\n"],
    good: &["RUN ls > x 2>&1\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN ls &> x\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for redirect in script::redirects(&script.tree).filter(|r| r.operator == "&>") {
            out.at(redirect.start, redirect.start + 2, "sh runs the command in the background, and empties the file");
        }
        }
    },
};
