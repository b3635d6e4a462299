//! `expr-functions`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "expr-functions",
    refs: &["SC2308"],
    severity: Severity::Info,
    default: true,
    finds: "expr with length, match, index or substr.",
    why: "POSIX does not define them: what comes out differs.",
    instead: "Use ${#name}, or other expansions.",
    bad: &["RUN expr length x\n"],
    good: &["RUN expr x : y\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
                if let Some(word) = c.arguments().first().filter(|w| c.name() == "expr" && ["length", "match", "index", "substr"].contains(&w.raw.as_str())) {
                    out.shell(word, format!("not every expr has {}", word.raw));
                }
            }
        }
    },
};
