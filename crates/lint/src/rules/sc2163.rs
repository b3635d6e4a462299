//! `export-of-a-value`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "export-of-a-value",
    refs: &["SC2163"],
    severity: Severity::Warning,
    default: true,
    finds: "export with a variable's value.",
    why: "The variable that its value names is exported, not itself.",
    instead: "Leave out the $.",
    bad: &["RUN X=1; export $X\n"],
    good: &["RUN X=1; export X\n", "RUN X=1; export Y=$X\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
                for word in c.arguments().iter().filter(|_| c.name() == "export") {
                    if let [piece] = word.pieces.as_slice()
                        && piece.variable().is_some_and(|(_, rest)| rest.is_empty())
                    {
                        out.shell(word, "this exports what the value names");
                    }
                }
            }
        }
    },
};
