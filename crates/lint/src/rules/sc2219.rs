//! `let-command`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "let-command",
    refs: &["SC2219"],
    severity: Severity::Style,
    default: true,
    finds: "let in bash.",
    why: "Its arguments are split and matched with file names.",
    instead: "Write ((…)).",
    bad: &["SHELL [\"/bin/bash\", \"-c\"]\nRUN let X=1; echo \"$X\"\n"],
    good: &["SHELL [\"/bin/bash\", \"-c\"]\nRUN ((X = 1)); echo \"$X\"\n", "RUN let X=1; echo \"$X\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Bash) {
            for (_, c) in script.tree.simple().filter(|(_, c)| c.name() == "let") {
                script::whole(out, c, "((…)) does the same");
            }
        }
    },
};
