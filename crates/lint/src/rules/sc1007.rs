//! `space-after-assignment`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "space-after-assignment",
    refs: &["SC1007"],
    severity: Severity::Warning,
    default: true,
    finds: "A space after the equals sign of an assignment.",
    why: "The variable becomes empty, and what follows is run as a program.",
    instead: "Remove the space, or write NAME=''.",
    bad: &["RUN X= ls\n"],
    good: &["RUN X=ls\n", "RUN IFS= read -r x && echo \"$x\"\n", "RUN X= && echo \"$X\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        for word in c.assignments.iter().filter(|w| w.raw.ends_with('=') && w.raw != "IFS=") {
            let next = c.assignments.iter().chain(&c.words).map(|w| w.start).find(|s| *s > word.start);
            if let Some(next) = next.filter(|n| *n > word.end) {
                out.at(word.end, next, "the space ends the assignment");
            }
        }
            }
        }
    },
};
