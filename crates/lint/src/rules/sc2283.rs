//! `space-before-equals`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "space-before-equals",
    refs: &["SC2283"],
    severity: Severity::Error,
    default: true,
    finds: "Spaces around the equals sign of an assignment.",
    why: "The name is run as a program.",
    instead: "Write NAME=value without spaces.",
    bad: &["RUN X = 1\n", "RUN X =1\n"],
    good: &["RUN X=1 ls\n", "RUN [ x = y ]\n", "RUN make x = y\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let named = c.words.first().is_some_and(|w| !w.quoted && !w.expands);
        if let Some(word) = c.arguments().first().filter(|w| named && !w.quoted && w.raw.starts_with('=') && !w.raw.starts_with("==")) {
            out.shell(word, "the spaces make the name a program");
        }
            }
        }
    },
};
