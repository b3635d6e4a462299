//! `missing-label`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "missing-label",
    refs: &["DL3049"],
    severity: Severity::Info,
    default: true,
    finds: "A label of the label schema that is not there.",
    why: "Tools that read labels expect it.",
    instead: "Add it.",
    bad: &["FROM a:1\nLABEL text=x\n"],
    good: &["FROM a:1\nLABEL text=x url=x date=x version=x hash=x licence=x mail=x\n"],
    test: |file, out| {
        let schema = &file.options.label_schema;
        if schema.is_empty() {
            return;
        }
        for (stage, from, instructions) in file.stages() {
            let built_on = stage.name.as_deref().is_some_and(|n| file.stages().any(|(_, f, _)| f.image.value.eq_ignore_ascii_case(n)));
            let on_stage = file.is_stage(&from.image.value);
            let last = file.dockerfile.stages.len() == stage.index + 1;
            if built_on || on_stage || !last {
                continue;
            }
            for key in schema.keys() {
                let there = instructions.iter().any(|i| matches!(&i.kind, Kind::Label(pairs) if pairs.iter().any(|p| p.key.value.trim_matches(['"', '\'']) == key)));
                if !there {
                    out.word(&from.image, format!("label `{key}` is missing"));
                }
            }
        }
    },
};
