//! `sh-for-arithmetic`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::tree::NodeKind;

pub(super) static RULE: Rule = Rule {
    id: "sh-for-arithmetic",
    refs: &["SC3005"],
    severity: Severity::Warning,
    default: true,
    finds: "A loop for ((…)) for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write a while loop, or set SHELL to bash.",
    bad: &["RUN for ((;;)); do ls; done\n"],
    good: &["RUN for i in 1 2; do echo \"$i\"; done\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN for ((;;)); do ls; done\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for node in script.tree.nodes.iter().filter(|n| matches!(n.kind, NodeKind::ForArithmetic { .. })) {
            out.at(node.start, node.start + 3, "sh has no such loop");
        }
        }
    },
};
