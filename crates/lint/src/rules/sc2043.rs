//! `loop-of-one`

use super::{Rule, Severity, script};
use crate::shell::tree::NodeKind;

pub(super) static RULE: Rule = Rule {
    id: "loop-of-one",
    refs: &["SC2043"],
    severity: Severity::Warning,
    default: true,
    finds: "A loop over a single fixed word.",
    why: "It runs once: a pattern or an expansion is missing, or quotes are in the way.",
    instead: "Write what is to be looped over, or no loop.",
    bad: &["RUN for i in a; do echo \"$i\"; done\n", "RUN for i in \"a b\"; do echo \"$i\"; done\n"],
    good: &["RUN for i in a b; do echo \"$i\"; done\n", "RUN for i in *.txt; do echo \"$i\"; done\n", "RUN for i in $X; do echo \"$i\"; done\n"],
    test: |file, out| {
        for script in file.scripts() {
            for node in &script.tree.nodes {
                let NodeKind::For { words: Some(words), select: false, .. } = &node.kind else { continue };
                if let [word] = words.as_slice() && !word.expands && !word.has_glob() && !script::has_braces(word) && !word.raw.contains('[') {
                    out.shell(word, "this loop runs once");
                }
            }
        }
    },
};
