//! `root-user`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "root-user",
    refs: &["DL3002", "CIS-4.1"],
    severity: Severity::Warning,
    default: true,
    finds: "A last USER that is root.",
    why: "A hole in the program gives an intruder root inside the container.",
    instead: "Switch to a user that is not root before the end.",
    bad: &["FROM a:1\nUSER root\n", "FROM a:1\nUSER app\nUSER 0:0\n", "FROM a:1 AS x\nUSER root\nFROM b:1\nUSER u\n"],
    good: &["FROM a:1\nUSER root\nUSER app\n", "FROM a:1\n", "FROM a:1 AS x\nUSER app\nFROM x\n"],
    test: |file, out| {
        for (_, _, instructions) in file.stages() {
            let last = instructions.iter().rev().find_map(|i| match &i.kind {
                Kind::User(word) => Some(word),
                _ => None,
            });
            let Some(word) = last else { continue };
            let name = word.value.split(':').next().unwrap_or("");
            if ["root", "0"].contains(&name) {
                out.word(word, "the last USER is root");
            }
        }
    },
};
