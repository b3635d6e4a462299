//! `sh-source`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-source",
    refs: &["SC3046"],
    severity: Severity::Warning,
    default: true,
    finds: "source for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write `.`.",
    bad: &["RUN source ./x\n"],
    good: &["RUN . ./x\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN source ./x\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, c) in script.tree.simple().filter(|(_, c)| c.name() == "source") {
            script::whole(out, c, "sh has no source");
            if let Some(word) = c.words.first() {
                out.replace(word.start, word.end, ".");
            }
        }
        }
    },
};
