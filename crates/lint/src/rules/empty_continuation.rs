//! `empty-continuation`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "empty-continuation",
    refs: &["NoEmptyContinuation"],
    severity: Severity::Warning,
    default: true,
    finds: "An empty line inside a continued instruction.",
    why: "It is passed over today, and an error one day; the next line may not belong to the instruction.",
    instead: "Delete the line, or put a # there.",
    bad: &["FROM a:1\nRUN a && \\\n\n  b\n"],
    good: &["FROM a:1\nRUN a && \\\n  # b\n  c\n", "FROM a:1\n\nRUN a\n", "FROM a:1\nRUN <<E\na\n\nb\nE\n"],
    test: |file, out| {
        for instruction in &file.dockerfile.instructions {
            let start = instruction.span.start.offset;
            let end = instruction.heredocs.iter().map(|h| h.body.start.offset).min().unwrap_or(instruction.span.end.offset);
            let part = file.dockerfile.text.get(start..end).unwrap_or("");
            let mut at = start;
            for (i, line) in part.split_inclusive('\n').enumerate() {
                if i > 0 && line.ends_with('\n') && line.trim().is_empty() {
                    out.at(at, at + line.trim_end().len(), "an empty line inside an instruction");
                    out.replace(at, at + line.len(), "");
                }
                at += line.len();
            }
        }
    },
};
