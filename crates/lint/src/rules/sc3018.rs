//! `sh-increment`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-increment",
    refs: &["SC3018"],
    severity: Severity::Warning,
    default: true,
    finds: "++ or -- in arithmetic for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write x=$((x + 1)), or set SHELL to bash.",
    bad: &["RUN X=1; echo $((X++))\n"],
    good: &["RUN X=1; echo $((X + 1))\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN X=1; echo $((X++))\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (start, text) in script::arithmetic(&script.tree) {
            if let Some(at) = text.find("++").or_else(|| text.find("--")) {
                out.at(start + at, start + at + 2, "sh cannot count so");
            }
        }
        }
    },
};
