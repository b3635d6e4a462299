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
    good: &["FROM a:1\nUSER root\nUSER app\n", "FROM a:1\n", "FROM a:1 AS x\nUSER root\nFROM x\nUSER app\n"],
    test: |file, out| {
        for (stage, _, instructions) in file.stages() {
            let last = instructions.iter().rev().find_map(|i| match &i.kind {
                Kind::User(word) => Some(word),
                _ => None,
            });
            let Some(word) = last else { continue };
            let name = word.value.split(':').next().unwrap_or("");
            // A stage that another builds on is judged there.
            let built_on = stage.name.as_deref().is_some_and(|n| file.stages().any(|(_, f, _)| f.image.value.eq_ignore_ascii_case(n)));
            if ["root", "0"].contains(&name) && !built_on {
                out.word(word, "the last USER is root");
            }
        }
    },
};
