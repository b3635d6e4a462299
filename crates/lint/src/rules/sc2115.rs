//! `removes-if-empty`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "removes-if-empty",
    refs: &["SC2115"],
    severity: Severity::Warning,
    default: true,
    finds: "rm -r of a path that begins with a variable.",
    why: "If it is empty, the path is one of the system's.",
    instead: "Write \"${NAME:?}\", which fails when it is empty.",
    bad: &["RUN rm -rf \"$X/\"\n", "RUN rm -rf \"$X\"/*\n", "RUN rm -rf /*\n"],
    good: &["RUN rm -rf \"${X:?}/\"\n", "RUN rm -rf \"$X\"\n", "RUN rm -rf \"$X/y/z\"\n", "RUN rm -rf /tmp/*\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let recursive = c.name() == "rm" && (c.has_flag('r', "recursive") || c.has_flag('R', ""));
        for word in c.operands().filter(|_| recursive) {
            if script::may_be_system(word) {
                out.shell(word, "an empty variable makes this a system directory");
            }
        }
            }
        }
    },
};
