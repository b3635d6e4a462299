//! `invalid-default-arg`

use stockade_dockerfile::ast::Kind;

use super::undefined_arg_in_from::variables;
use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "invalid-default-arg",
    refs: &["InvalidDefaultArgInFrom"],
    severity: Severity::Warning,
    default: true,
    finds: "A FROM that is no image name unless an argument is given.",
    why: "The build fails for who does not know the argument.",
    instead: "Give the ARG a default.",
    bad: &["ARG TAG\nFROM a:$TAG\n", "ARG IMAGE\nFROM $IMAGE\n"],
    good: &["ARG TAG=1\nFROM a:$TAG\n", "ARG TAG\nFROM a:${TAG:-1}\n", "ARG SUFFIX\nFROM a:1$SUFFIX\n"],
    test: |file, out| {
        let empty: Vec<&str> = file.dockerfile.preamble().iter().filter_map(|i| match &i.kind {
            Kind::Arg(list) => Some(list.iter().filter(|a| a.value.is_none()).map(|a| a.name.value.as_str())),
            _ => None,
        }).flatten().collect();
        for (_, from, _) in file.stages() {
            let image = &from.image.value;
            for (name, default) in variables(image, file.dockerfile.escape) {
                let gone = image.replace(&format!("${{{name}}}"), "").replace(&format!("${name}"), "");
                let broken = gone.is_empty() || gone.ends_with([':', '/', '@']) || gone.starts_with([':', '/', '@']);
                if !default && broken && empty.contains(&name.as_str()) {
                    out.word(&from.image, format!("without a value for `{name}` this is no image name"));
                }
            }
        }
    },
};
