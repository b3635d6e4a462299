//! `sh-local`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-local",
    refs: &["SC3043"],
    severity: Severity::Warning,
    default: true,
    finds: "local for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Most shells have it, POSIX does not: use another name, or set SHELL to bash.",
    bad: &["RUN f() { local x=1; echo \"$x\"; }\n"],
    good: &["RUN f() { x=1; echo \"$x\"; }\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN f() { local x=1; echo \"$x\"; }\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, c) in script.tree.simple().filter(|(_, c)| c.name() == "local") {
            script::whole(out, c, "POSIX has no local variables");
        }
        }
    },
};
