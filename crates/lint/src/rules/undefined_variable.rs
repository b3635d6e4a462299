//! `undefined-variable`

use stockade_dockerfile::ast::{Kind, Source, Word};

use super::undefined_arg_in_from::{PREDEFINED, variables};
use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "undefined-variable",
    refs: &["UndefinedVar"],
    severity: Severity::Warning,
    default: true,
    finds: "A variable that no ARG or ENV of the stage sets.",
    why: "It is empty unless the base image sets it: mostly a mistyped name.",
    instead: "Declare it with ARG or ENV, or correct the name.",
    bad: &["FROM scratch\nARG DIRECTORY=/x\nCOPY a $DIRECOTRY\n"],
    good: &["FROM a:1\nENV D=/x\nCOPY a $D\n", "FROM a:1\nARG D\nWORKDIR $D\n", "FROM a:1\nENV PATH=/x:$PATH\n", "FROM a:1\nWORKDIR $HOME/x\n", "FROM a:1\nCOPY a ${D:-/x}\n", "FROM a:1 AS b\nENV D=/x\nFROM b\nWORKDIR $D\n"],
    test: |file, out| {
        let mut by_stage: Vec<(Option<String>, Vec<String>)> = Vec::new();
        for (stage, from, instructions) in file.stages() {
            // Variables of a base image are not known here; these are set by nearly all.
            let mut known: Vec<String> = PREDEFINED.iter().chain(&["PATH", "HOME"]).map(|s| (*s).to_owned()).collect();
            let base = from.image.value.to_lowercase();
            let built_on = by_stage.iter().find(|(n, _)| n.as_deref() == Some(base.as_str()));
            known.extend(built_on.map(|(_, v)| v.clone()).unwrap_or_default());
            // Only where the base is ours all the way down can a name be called undefined for sure; else a near name must exist.
            let sure = built_on.is_some() || base == "scratch";
            for instruction in instructions {
                for word in words(&instruction.kind) {
                    for (name, default) in variables(&word.value, file.dockerfile.escape) {
                        let near = stockade_dockerfile::nearest(&name, known.iter().map(String::as_str)).is_some();
                        if !default && !known.contains(&name) && (sure || near) {
                            out.word(word, format!("`{name}` is not set in this stage"));
                        }
                    }
                }
                match &instruction.kind {
                    Kind::Arg(list) => known.extend(list.iter().map(|a| a.name.value.clone())),
                    Kind::Env(pairs) => known.extend(pairs.iter().map(|p| p.key.value.clone())),
                    _ => {}
                }
            }
            by_stage.push((stage.name.clone(), known));
        }
    },
};

/// Words that the builder expands.
fn words(kind: &Kind) -> Vec<&Word> {
    let paths = |sources: &'_ [Source]| -> Vec<usize> { (0..sources.len()).collect() };
    match kind {
        Kind::Copy(c) => paths(&c.sources).into_iter().filter_map(|i| match c.sources.get(i) {
            Some(Source::Path(w)) => Some(w),
            _ => None,
        }).chain([&c.destination]).chain(&c.chown).chain(&c.chmod).collect(),
        Kind::Add(a) => paths(&a.sources).into_iter().filter_map(|i| match a.sources.get(i) {
            Some(Source::Path(w)) => Some(w),
            _ => None,
        }).chain([&a.destination]).chain(&a.chown).chain(&a.chmod).collect(),
        Kind::Env(pairs) | Kind::Label(pairs) => pairs.iter().map(|p| &p.value).collect(),
        Kind::Expose(words) | Kind::Volume(words) => words.iter().collect(),
        Kind::User(w) | Kind::Workdir(w) | Kind::Stopsignal(w) => vec![w],
        _ => Vec::new(),
    }
}
