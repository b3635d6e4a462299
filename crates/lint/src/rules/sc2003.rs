//! `expr-command`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "expr-command",
    refs: &["SC2003"],
    severity: Severity::Style,
    default: true,
    finds: "The program expr.",
    why: "The shell calculates and compares itself, without a process.",
    instead: "Write $((…)), ${…} or [ … ].",
    bad: &["RUN expr 1 + 1\n", "RUN X=$(expr 1 + 1) && echo \"$X\"\n"],
    good: &["RUN echo $((1 + 1))\n", "RUN expr \"$X\" : x\n", "RUN expr length x\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let words: Vec<&str> = c.arguments().iter().map(|w| w.text.as_str()).collect();
        let strings = words.contains(&":") || ["match", "length", "substr", "index"].contains(words.first().unwrap_or(&""));
        if let Some(word) = c.words.first().filter(|_| c.name() == "expr" && !strings) {
            out.shell(word, "the shell calculates itself");
        }
            }
        }
    },
};
