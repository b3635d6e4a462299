//! `exit-code-range`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "exit-code-range",
    refs: &["SC2242"],
    severity: Severity::Error,
    default: true,
    finds: "An exit code that is not 0 to 255.",
    why: "Only its low eight bits arrive, or the shell refuses it.",
    instead: "Give a number from 0 to 255.",
    bad: &["RUN exit 256\n", "RUN exit foo\n"],
    good: &["RUN exit 3\n", "RUN exit \"$X\"\n", "RUN exit\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let code = c.arguments().first().filter(|w| c.name() == "exit" && !w.expands);
        if let Some(word) = code.filter(|w| w.text.parse::<u8>().is_err()) {
            out.shell(word, "an exit code is 0 to 255");
        }
            }
        }
    },
};
