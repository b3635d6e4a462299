//! `repeated-redirect`

use super::{Rule, Severity};
use crate::shell::tree::NodeKind;

pub(super) static RULE: Rule = Rule {
    id: "repeated-redirect",
    refs: &["SC2129"],
    severity: Severity::Style,
    default: true,
    finds: "Three commands in a row that append to the same file.",
    why: "It is opened anew for each.",
    instead: "Write { a; b; c; } >>FILE.",
    bad: &["RUN echo a >> f; echo b >> f; echo c >> f\n"],
    good: &["RUN echo a >> f; echo b >> f\n", "RUN { a; b; c; } >> f\n"],
    test: |file, out| {
        for script in file.scripts() {
            let tree = &script.tree;
            for node in &tree.nodes {
                let NodeKind::List(items) = &node.kind else { continue };
                let target = |id: &usize| {
                    let c = tree.command(*id)?;
                    c.redirects.iter().find(|r| r.operator == ">>").map(|r| r.target.raw.as_str())
                };
                let mut before: Option<&str> = None;
                let mut run = 0;
                for (i, item) in items.iter().enumerate() {
                    let this = target(item);
                    run = if this.is_some() && this == before { run + 1 } else { 0 };
                    before = this;
                    let first = i.checked_sub(2).and_then(|f| items.get(f)).and_then(|f| tree.get(*f));
                    if let (2, Some(first)) = (run, first) {
                        out.at(first.start, first.end, "the same file is opened again and again");
                    }
                }
            }
        }
    },
};
