//! `legacy-key-value`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "legacy-key-value",
    refs: &["LegacyKeyValueFormat"],
    severity: Severity::Style,
    default: true,
    finds: "ENV or LABEL in the old form with a space.",
    why: "It takes one pair only, and the rest of the line is the value, quotes and all.",
    instead: "Write KEY=value.",
    bad: &["FROM a:1\nENV key value\n", "FROM a:1\nLABEL k v w\n"],
    good: &["FROM a:1\nENV key=value\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let (Kind::Env(pairs) | Kind::Label(pairs)) = &instruction.kind else { continue };
            let Some(pair) = pairs.first().filter(|p| p.legacy) else { continue };
            out.word(&pair.key, format!("{} in the old form", instruction.name()));
            let value = &pair.value.value;
            // Text with quotes or escapes means something else in the new form.
            if !value.contains(['"', '\'', '\\', '`', '\n']) {
                let quoted = if value.contains(char::is_whitespace) || value.is_empty() { format!("\"{value}\"") } else { value.clone() };
                out.replace(pair.key.span.start.offset, pair.value.span.end.offset, format!("{}={quoted}", pair.key.value));
            }
        }
    },
};
