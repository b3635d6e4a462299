//! `mkdir-mode`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "mkdir-mode",
    refs: &["SC2174"],
    severity: Severity::Warning,
    default: true,
    finds: "mkdir -p with -m for a path of several parts.",
    why: "Only the last directory gets the mode.",
    instead: "Make the directories first, then chmod.",
    bad: &["RUN mkdir -m 700 -p x/y\n"],
    good: &["RUN mkdir -p x -m 700\n", "RUN mkdir -m 700 x/y\n", "RUN mkdir -p x/y\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if c.name() == "mkdir" && c.has_flag('p', "parents") && c.has_flag('m', "mode") {
            let deep = c.operands().any(|w| w.text.trim_start_matches("./").trim_end_matches('/').contains('/'));
            let mode = c.arguments().iter().find(|w| w.text.starts_with("--mode") || w.text.starts_with('-') && !w.text.starts_with("--") && w.text.contains('m'));
            if let Some(word) = mode.filter(|_| deep) {
                out.shell(word, "only the last directory gets the mode");
            }
        }
            }
        }
    },
};
