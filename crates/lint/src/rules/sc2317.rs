//! `unreachable-command`

use super::{Rule, Severity};
use crate::shell::tree::{NodeId, NodeKind, Tree};

pub(super) static RULE: Rule = Rule {
    id: "unreachable-command",
    refs: &["SC2317"],
    severity: Severity::Info,
    default: true,
    finds: "A command after exit.",
    why: "It never runs.",
    instead: "Remove it, or the exit.",
    bad: &["RUN exit 0 && ls\n", "RUN { exit; }; ls\n"],
    good: &["RUN a && exit; ls\n", "RUN if a; then exit 1; fi; ls\n", "RUN f() { exit 1; }; ls\n", "RUN (exit 1); ls\n"],
    test: |file, out| {
        for script in file.scripts() {
            let tree = &script.tree;
            let Some(end) = end_of_life(tree) else { continue };
            for (id, node) in tree.nodes.iter().enumerate().filter(|(_, n)| n.start >= end) {
                let whole = !matches!(node.kind, NodeKind::List(_) | NodeKind::AndOr { .. } | NodeKind::Group(_));
                if whole && listed(tree, id) {
                    out.at(node.start, node.end, "exit stands before this");
                }
            }
        }
    },
};

/// Where a script certainly ends: the byte offset after its `exit`.
pub(super) fn end_of_life(tree: &Tree) -> Option<usize> {
    let (exit, _) = tree.simple().find(|(id, c)| c.name() == "exit" && certain(tree, *id))?;
    tree.get(exit).map(|n| n.end)
}

/// Whether a command runs whatever comes of those before it, in the script's own shell.
fn certain(tree: &Tree, id: NodeId) -> bool {
    let mut child = id;
    tree.ancestors(id).all(|parent| {
        let own = match tree.get(parent).map(|n| &n.kind) {
            Some(NodeKind::AndOr { left, .. }) => *left == child,
            Some(NodeKind::List(_) | NodeKind::Group(_)) => true,
            _ => false,
        };
        child = parent;
        own
    })
}

/// Whether a command is a part of lists only: a pipeline's and a loop's are named as a whole.
fn listed(tree: &Tree, id: NodeId) -> bool {
    tree.ancestors(id)
        .all(|a| matches!(tree.get(a).map(|n| &n.kind), Some(NodeKind::List(_) | NodeKind::AndOr { .. } | NodeKind::Group(_))))
        && tree.get(id).is_some_and(|n| n.end > n.start)
}
