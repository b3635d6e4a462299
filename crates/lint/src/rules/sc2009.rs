//! `ps-grep`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "ps-grep",
    refs: &["SC2009"],
    severity: Severity::Info,
    default: true,
    finds: "The output of ps searched with grep.",
    why: "grep finds itself, and matches parts of other command lines.",
    instead: "Use pgrep.",
    bad: &["RUN ps aux | grep x\n"],
    good: &["RUN pgrep x\n", "RUN ps aux\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (left, right) in script::pipes(&script.tree) {
                if left.name() == "ps" && right.name() == "grep" && !left.has_flag('p', "pid") {
                    script::whole(out, left, "pgrep finds processes by name");
                }
            }
        }
    },
};
