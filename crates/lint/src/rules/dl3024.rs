//! `duplicate-stage-name`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "duplicate-stage-name",
    refs: &["DL3024", "DuplicateStageName"],
    severity: Severity::Error,
    default: true,
    finds: "Two stages of the same name.",
    why: "Which one is meant depends on the place.",
    instead: "Give each stage a name of its own.",
    bad: &["FROM a:1 AS x\nFROM b:1 AS X\n"],
    good: &["FROM a:1 AS x\nFROM b:1 AS y\n"],
    test: |file, out| {
        let mut seen = std::collections::HashSet::new();
        for (stage, from, _) in file.stages() {
            if let (Some(name), Some(word)) = (&stage.name, &from.name)
                && !seen.insert(if file.options.as_hadolint { word.value.clone() } else { name.clone() })
            {
                out.word(word, format!("another stage is called `{name}`"));
            }
        }
    },
};
