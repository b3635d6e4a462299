//! `status-of-echo`

use super::{Rule, Severity};
use crate::shell::tree::{NodeId, NodeKind, Tree};

pub(super) static RULE: Rule = Rule {
    id: "status-of-echo",
    refs: &["SC2320"],
    severity: Severity::Warning,
    default: true,
    finds: "$? right after echo.",
    why: "It is the status of the output, and hardly ever what is meant.",
    instead: "Keep the status in a variable before.",
    bad: &["RUN a; echo x; echo $?\n", "RUN echo x && echo \"$?\"\n"],
    good: &["RUN a; echo $?\n", "RUN echo x; b; echo $?\n"],
    test: |file, out| {
        for script in file.scripts() {
            let tree = &script.tree;
            for (id, node) in tree.nodes.iter().enumerate() {
                let status = node.words().into_iter().flat_map(|w| &w.pieces).find(|p| p.variable().is_some_and(|(n, _)| n == "?"));
                let Some(piece) = status else { continue };
                if before(tree, id).and_then(|b| tree.command(b)).is_some_and(|c| c.name() == "echo") {
                    out.at(piece.start, piece.end, "this is the status of the output before it");
                }
            }
        }
    },
};

/// The command that runs right before another one: the left side, or the one before in the list.
fn before(tree: &Tree, id: NodeId) -> Option<NodeId> {
    let mut child = id;
    for parent in tree.ancestors(id) {
        match &tree.get(parent)?.kind {
            NodeKind::AndOr { left, right, .. } if *right == child => return Some(last(tree, *left)),
            NodeKind::List(items) => {
                let at = items.iter().position(|i| *i == child)?;
                return items.get(at.checked_sub(1)?).map(|i| last(tree, *i));
            }
            NodeKind::AndOr { .. } => child = parent,
            _ => return None,
        }
    }
    None
}

fn last(tree: &Tree, id: NodeId) -> NodeId {
    match tree.get(id).map(|n| &n.kind) {
        Some(NodeKind::AndOr { right, .. }) => *right,
        _ => id,
    }
}
