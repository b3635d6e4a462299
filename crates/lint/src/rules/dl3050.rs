//! `extra-label`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "extra-label",
    refs: &["DL3050"],
    severity: Severity::Info,
    default: true,
    finds: "A label that is not in the label schema, where only those are allowed.",
    why: "It may be a mistyped name.",
    instead: "Take it out, or add it to the schema.",
    bad: &["FROM a:1\nLABEL other=x\n"],
    good: &["FROM a:1\nLABEL text=x\n"],
    test: |file, out| {
        if !file.options.strict_labels {
            return;
        }
        for instruction in file.instructions() {
            let Kind::Label(pairs) = &instruction.kind else { continue };
            for pair in pairs.iter().filter(|p| !file.options.label_schema.contains_key(p.key.value.trim_matches(['"', '\'']))) {
                out.word(&pair.key, format!("label `{}` is not in the schema", pair.key.value));
            }
        }
    },
};
