//! `variable-in-format`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "variable-in-format",
    refs: &["SC2059"],
    severity: Severity::Info,
    default: true,
    finds: "A variable in printf's format.",
    why: "Percent signs and backslashes in its value are obeyed.",
    instead: "Write printf '%s' \"$VARIABLE\".",
    bad: &["RUN printf \"$X\"\n", "RUN printf \"$X\\n\" a\n"],
    good: &["RUN printf '%s\\n' \"$X\"\n", "RUN printf 'a'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let format = c.operands().next().filter(|_| c.name() == "printf" && !c.has_flag('v', ""));
        if let Some(word) = format.filter(|w| w.expands) {
            out.shell(word, "the value is read as a format");
        }
            }
        }
    },
};
