//! `sh-append`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-append",
    refs: &["SC3024"],
    severity: Severity::Warning,
    default: true,
    finds: "+= for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write x=\"${x}…\".",
    bad: &["RUN X+=b; echo \"$X\"\n"],
    good: &["RUN X=b; echo \"$X\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN X+=b; echo \"$X\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, c) in script.tree.simple() {
            for word in c.assignments.iter() {
                if let Some((name, true)) = word.assignment() {
                    out.at(word.start, word.start + name.len(), "sh runs this as a program");
                }
            }
        }
        }
    },
};
