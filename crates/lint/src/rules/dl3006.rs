//! `untagged-image`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "untagged-image",
    refs: &["DL3006"],
    severity: Severity::Warning,
    default: true,
    finds: "A FROM image without a tag.",
    why: "The same file builds on something else tomorrow.",
    instead: "Name a version, or better a digest.",
    bad: &["FROM debian\n", "FROM reg:5000/debian\n"],
    good: &["FROM debian:12\n", "FROM scratch\n", "FROM a@sha256:00\n", "FROM a:1 AS b\nFROM b\n", "ARG X\nFROM $X\n", "FROM a:1\nFROM 0\n"],
    test: |file, out| {
        for (stage, from, _) in file.stages() {
            let image = from.image.value.as_str();
            // hadolint takes the port of a registry without a dot for a tag, and the number of a stage for an image.
            let like = file.options.as_hadolint;
            let name = if like { package::without_registry(image) } else { image.rsplit('/').next().unwrap_or(image) };
            let number = image.parse::<usize>().is_ok_and(|n| n < stage.index) && !like;
            if !name.contains([':', '@']) && !image.contains('$') && image != "scratch" && !file.dockerfile.stages.iter().take(stage.index).any(|s| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(image))) && !number {
                out.word(&from.image, format!("image `{image}` has no tag"));
            }
        }
    },
};
