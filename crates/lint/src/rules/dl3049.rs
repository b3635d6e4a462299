//! `missing-label`

use stockade_dockerfile::ast::{From, Kind};

use super::{Rule, Severity, package};
use crate::file::File;

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
        if file.options.as_hadolint {
            for (key, from) in schema.keys().flat_map(|key| missing_for_hadolint(file, key).into_iter().map(move |f| (key, f))) {
                out.word(&from.image, format!("label `{key}` is missing"));
            }
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

/// The stages that hadolint wants a label in: all but those that have it, that are built on one that has it, that another
/// stage copies from, or whose name is that of a stage with it.
fn missing_for_hadolint<'d>(file: &File<'d>, key: &str) -> Vec<&'d From> {
    let alias = |from: &From| from.name.as_ref().map(|n| n.value.clone());
    let (mut good, mut bad): (Vec<&From>, Vec<&From>) = (Vec::new(), Vec::new());
    for (_, from, instructions) in file.stages() {
        let image = package::image_name(&from.image.value);
        let inherits = good.iter().any(|g| alias(g).is_some_and(|a| a == image));
        if inherits { good.push(from) } else { bad.push(from) }
        for instruction in instructions {
            match &instruction.kind {
                Kind::Copy(copy) => {
                    let source = copy.from.as_ref().map(|f| f.value.clone());
                    bad.retain(|b| source.is_none() || alias(b) != source);
                }
                Kind::Label(pairs) if pairs.iter().any(|p| p.key.value.trim_matches(['"', '\'']) == key) => {
                    let name = alias(from).unwrap_or_else(|| image.to_owned());
                    bad.retain(|b| alias(b).is_none_or(|a| a != name) && !std::ptr::eq(*b, from));
                    good.push(from);
                }
                _ => {}
            }
        }
    }
    bad
}
