//! `sh-let`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-let",
    refs: &["SC3039"],
    severity: Severity::Warning,
    default: true,
    finds: "let for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write $((…)).",
    bad: &["RUN let X=1; echo \"$X\"\n"],
    good: &["RUN X=$((1)); echo \"$X\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
            for (_, c) in script.tree.simple().filter(|(_, c)| c.name() == "let") {
                script::whole(out, c, "sh has no let");
            }
        }
    },
};
