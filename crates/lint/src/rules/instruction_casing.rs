//! `instruction-casing`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "instruction-casing",
    refs: &["ConsistentInstructionCasing"],
    severity: Severity::Style,
    default: true,
    finds: "Instructions in different case.",
    why: "Mixed case is harder to read.",
    instead: "Write all in upper case.",
    bad: &["FROM a:1\nrun x\nENV a=b\n", "FROM a:1\nRun x\n"],
    good: &["FROM a:1\nRUN x\n", "from a:1\nrun x\n"],
    test: |file, out| {
        let words: Vec<_> = file.dockerfile.instructions.iter().map(|i| &i.keyword).collect();
        let lower = words.iter().filter(|w| w.value.chars().all(char::is_lowercase)).count();
        let all_lower = lower * 2 > words.len();
        for word in words {
            let wanted = if all_lower { word.value.to_lowercase() } else { word.value.to_uppercase() };
            if word.value != wanted {
                out.word(word, format!("`{}` where others are in {} case", word.value, if all_lower { "lower" } else { "upper" }));
                out.replace(word.span.start.offset, word.span.end.offset, wanted);
            }
        }
    },
};
