//! `latest-tag`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "latest-tag",
    refs: &["DL3007"],
    severity: Severity::Warning,
    default: true,
    finds: "A FROM image with the tag latest.",
    why: "The same file builds on something else tomorrow.",
    instead: "Name a version, or better a digest.",
    bad: &["FROM debian:latest\n"],
    good: &["FROM debian:12\n", "FROM debian:latest@sha256:00\n"],
    test: |file, out| {
        for (_, from, _) in file.stages() {
            let image = from.image.value.as_str();
            if image.ends_with(":latest") {
                out.word(&from.image, format!("image `{image}` moves with its tag"));
            }
        }
    },
};
