//! `user-without-number`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "user-without-number",
    refs: &["DL3066"],
    severity: Severity::Info,
    default: true,
    finds: "A USER that is a name.",
    why: "Kubernetes cannot tell from a name that the user is not root (runAsNonRoot), and hosts may know another of that name.",
    instead: "Write the number.",
    bad: &["FROM a:1\nUSER app\n", "FROM a:1\nUSER app:1000\n"],
    good: &["FROM a:1\nUSER 1000\n", "FROM a:1\nUSER 1000:app\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::User(word) = &instruction.kind else { continue };
            let name = word.value.split(':').next().unwrap_or("");
            if name.parse::<u32>().is_err() {
                out.word(word, format!("`{name}` is a name, not a number"));
            }
        }
    },
};
