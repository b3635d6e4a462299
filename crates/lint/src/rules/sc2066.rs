//! `quoted-loop-list`

use super::{Rule, Severity};
use crate::shell::tree::NodeKind;

pub(super) static RULE: Rule = Rule {
    id: "quoted-loop-list",
    refs: &["SC2066"],
    severity: Severity::Error,
    default: true,
    finds: "A loop over one quoted variable.",
    why: "Quoted, it is one word: the loop runs once.",
    instead: "Remove the quotes, or use \"$@\".",
    bad: &["RUN for i in \"$X\"; do echo \"$i\"; done\n", "RUN for i in \"$*\"; do echo \"$i\"; done\n"],
    good: &["RUN for i in \"$@\"; do echo \"$i\"; done\n", "RUN for i in $X; do echo \"$i\"; done\n", "RUN for i in \"$X\" b; do echo \"$i\"; done\n"],
    test: |file, out| {
        for script in file.scripts() {
            for node in &script.tree.nodes {
                let NodeKind::For { words: Some(words), select: false, .. } = &node.kind else { continue };
                let [word] = words.as_slice() else { continue };
                let quoted = word.pieces.iter().all(|p| p.string.is_some());
                let several = word.variables().any(|(_, name, rest)| name == "@" || rest.starts_with("[@"));
                if quoted && word.expands && !several {
                    out.shell(word, "quoted, this is one word");
                }
            }
        }
    },
};
