//! `from-as-casing`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "from-as-casing",
    refs: &["FromAsCasing"],
    severity: Severity::Style,
    default: true,
    finds: "AS in another case than FROM.",
    why: "Mixed case is harder to read.",
    instead: "Write both alike.",
    bad: &["FROM a:1 as x\n", "from a:1 AS x\n"],
    good: &["FROM a:1 AS x\n", "from a:1 as x\n"],
    test: |file, out| {
        for (_, from, instructions) in file.stages() {
            let (Some(name), Some(instruction)) = (&from.name, instructions.first()) else { continue };
            let start = from.image.span.end.offset;
            let between = file.dockerfile.text.get(start..name.span.start.offset).unwrap_or("");
            let Some(at) = between.to_ascii_lowercase().find("as") else { continue };
            let written = between.get(at..at + 2).unwrap_or("");
            let upper = instruction.keyword.value.chars().next().is_some_and(char::is_uppercase);
            let wanted = if upper { "AS" } else { "as" };
            if written != wanted {
                out.at(start + at, start + at + 2, format!("`{written}` beside `{}`", instruction.keyword.value));
                out.replace(start + at, start + at + 2, wanted);
            }
        }
    },
};
