//! `sh-double-bracket`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::tree::NodeKind;

pub(super) static RULE: Rule = Rule {
    id: "sh-double-bracket",
    refs: &["SC3010"],
    severity: Severity::Warning,
    default: true,
    finds: "[[ … ]] for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write [ … ], or set SHELL to bash.",
    bad: &["RUN [[ -n \"$X\" ]]\n"],
    good: &["RUN [ -n \"$X\" ]\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN [[ -n \"$X\" ]]\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for node in script.tree.nodes.iter().filter(|n| matches!(n.kind, NodeKind::Test(_))) {
            out.at(node.start, node.end, "sh looks for a program called [[");
        }
        }
    },
};
