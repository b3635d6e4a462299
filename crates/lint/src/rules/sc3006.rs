//! `sh-arithmetic-command`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::tree::NodeKind;

pub(super) static RULE: Rule = Rule {
    id: "sh-arithmetic-command",
    refs: &["SC3006"],
    severity: Severity::Warning,
    default: true,
    finds: "A command ((…)) for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Write : $((…)) or [ … ], or set SHELL to bash.",
    bad: &["RUN if ((1)); then ls; fi\n"],
    good: &["RUN echo $((1))\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN if ((1)); then ls; fi\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for node in script.tree.nodes.iter().filter(|n| matches!(n.kind, NodeKind::Arithmetic(_))) {
            out.at(node.start, node.end, "sh reads two subshells here");
        }
        }
    },
};
