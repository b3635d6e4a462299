//! `unused-variable`

use super::{Rule, Severity};
use crate::shell::variables;

pub(super) static RULE: Rule = Rule {
    id: "unused-variable",
    refs: &["SC2034"],
    severity: Severity::Warning,
    default: true,
    finds: "A variable that is set and never read.",
    why: "Often a name that is written differently elsewhere; it is gone when the step ends.",
    instead: "Remove it, export it, or use ENV where a later step needs it.",
    bad: &["RUN X=1\n", "RUN X=$Y; echo ok\n", "RUN for i in a b; do ls; done\n"],
    good: &["RUN X=1; echo \"$X\"\n", "RUN export X=1\n", "RUN X=1 ls\n", "RUN for _ in a b; do ls; done\n", "RUN cat <<E\n$X\nE\n"],
    test: |file, out| {
        for script in file.scripts() {
            let tree = &script.tree;
            let used = variables::used(tree);
            for set in variables::assigned(tree) {
                let internal = set.name == "_" || script.known.contains(set.name) || variables::MEANT_FOR_OTHERS.contains(&set.name);
                if !set.exported && !internal && (!used.contains(set.name) || file.options.as_hadolint && variables::only_quoted(tree, set.name)) {
                    out.at(set.start, set.end, format!("{} is set and never read", set.name));
                }
            }
        }
    },
};
