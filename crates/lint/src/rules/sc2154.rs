//! `unset-variable`

use std::collections::BTreeSet;

use super::{Rule, Severity};
use crate::shell::variables;

pub(super) static RULE: Rule = Rule {
    id: "unset-variable",
    refs: &["SC2154"],
    severity: Severity::Warning,
    default: true,
    finds: "A variable that nothing sets.",
    why: "It is empty, or whatever the base image has.",
    instead: "Set it, declare it with ARG or ENV, or give it a default: ${name:-value}.",
    bad: &["RUN echo \"$undefined\"\n"],
    good: &["RUN x=1; echo \"$x\"\n", "ARG x\nRUN echo \"$x\"\n", "RUN echo \"${x:-a}\"\n", "RUN echo \"$UPPER\"\n", "RUN read -r x && echo \"$x\"\n", "RUN for i in a b; do echo \"$i\"; done\n"],
    test: |file, out| {
        for script in file.scripts() {
            let tree = &script.tree;
            let assigned: BTreeSet<&str> = variables::assigned(tree).into_iter().map(|a| a.name).collect();
            let mut said = variables::asked_for(tree);
            for (_, word) in tree.words() {
                for (piece, name, rest) in word.variables() {
                    let name = name.trim_start_matches(['#', '!']);
                    // Names in capitals are the environment's.
                    let ours = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.contains(|c: char| c.is_ascii_lowercase());
                    let cared_for = rest.trim_start_matches(':').starts_with(['-', '=', '+', '?']);
                    if ours && !cared_for && !assigned.contains(name) && !script.known.contains(name) && said.insert(name.to_owned()) {
                        out.at(piece.start, piece.end, format!("nothing sets {name}"));
                    }
                }
            }
        }
    },
};
