//! `image-without-digest`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "image-without-digest",
    refs: &["SD1001"],
    severity: Severity::Info,
    default: false,
    finds: "A FROM image without a digest.",
    why: "A tag can be moved to another image at any time.",
    instead: "Add @sha256:… to the tag.",
    bad: &["FROM debian:12\n"],
    good: &["FROM debian:12@sha256:00\n", "FROM scratch\n", "FROM a@sha256:00 AS b\nFROM b\n"],
    test: |file, out| {
        for (_, from, _) in file.stages() {
            let image = from.image.value.as_str();
            if !image.contains('@') && !image.contains('$') && image != "scratch" && !file.is_stage(image) {
                out.word(&from.image, format!("image `{image}` has no digest"));
            }
        }
    },
};
