//! `constant-condition`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "constant-condition",
    refs: &["SC2078"],
    severity: Severity::Error,
    default: true,
    finds: "A test of a constant.",
    why: "It is always true: perhaps a $ is missing.",
    instead: "Test a variable, or leave the test out.",
    bad: &["RUN [ foo ]\n", "RUN a && [ \"\" ]\n"],
    good: &["RUN [ \"$X\" ]\n", "RUN [ -n \"$X\" ]\n"],
    test: |file, out| {
        for script in file.scripts() {
            for words in script::bracket_words(&script.tree) {
                if let [word] | [word, _] = words
                    && words.get(1).is_none_or(|w| w.raw == "]")
                    && word.raw != "]" && word.plain().is_some() && !word.has_glob() && word.raw != "!"
                    && !["true", "false", "0", "1"].contains(&word.text.as_str())
                {
                    out.shell(word, "a constant is always true");
                }
            }
        }
    },
};
