//! `and-or-as-if`

use super::{Rule, Severity};
use crate::shell::tree::NodeKind;

pub(super) static RULE: Rule = Rule {
    id: "and-or-as-if",
    refs: &["SC2015"],
    severity: Severity::Info,
    default: true,
    finds: "A && B || C in place of if, then, else.",
    why: "C runs as well when A succeeds and B fails.",
    instead: "Write if A; then B; else C; fi.",
    bad: &["RUN a && b || c\n"],
    good: &["RUN a && b || true\n", "RUN a && b || exit 1\n", "RUN a || b && c\n", "RUN if a && b || c; then d; fi\n"],
    test: |file, out| {
        for script in file.scripts() {
            let tree = &script.tree;
            for (id, node) in tree.nodes.iter().enumerate() {
                let NodeKind::AndOr { and: false, left, right, .. } = &node.kind else { continue };
                let Some(NodeKind::AndOr { and: true, right: middle, operator, .. }) = tree.get(*left).map(|n| &n.kind) else {
                    continue;
                };
                // What cannot fail, or ends it all, is what it seems.
                let harmless = |id: &usize, names: &[&str]| {
                    tree.command(*id).is_some_and(|c| c.words.is_empty() && !c.assignments.is_empty() || names.contains(&c.name()))
                };
                let last = ["echo", "exit", "return", "printf", "true", ":"];
                // A test as the middle is a condition, too.
                let asks = tree.command(*middle).is_some_and(|c| ["[", "test"].contains(&c.name()))
                    || matches!(tree.get(*middle).map(|n| &n.kind), Some(NodeKind::Test(_)));
                if !harmless(right, &last) && !asks && !tree.is_condition(id) {
                    out.at(*operator, operator + 2, "the part after || also runs when the part before it fails");
                }
            }
        }
    },
};
