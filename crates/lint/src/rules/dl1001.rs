//! `inline-ignore`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "inline-ignore",
    refs: &["DL1001"],
    severity: Severity::Info,
    default: false,
    finds: "A comment that switches rules of hadolint off.",
    why: "Who reviews the file may want each exception in one place, with a reason.",
    instead: "Use .hadolint.yaml, or # stockade ignore=ID reason=….",
    bad: &["# hadolint ignore=DL3008\nRUN x\n"],
    good: &["# a comment\nRUN x\n"],
    test: |file, out| {
        for comment in &file.dockerfile.comments {
            if crate::pragma::is_hadolint(&comment.text) {
                out.at(comment.span.start.offset, comment.span.end.offset, "rules are switched off here");
            }
        }
    },
};
