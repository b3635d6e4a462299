//! `fixed-platform`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "fixed-platform",
    refs: &["DL3029", "FromPlatformFlagConstDisallowed"],
    severity: Severity::Warning,
    default: true,
    finds: "FROM --platform with a fixed value.",
    why: "The image is for that machine only, whatever the builder asks for.",
    instead: "Leave it out, or use $BUILDPLATFORM or $TARGETPLATFORM.",
    bad: &["FROM --platform=linux/arm64 a:1\n"],
    good: &["FROM --platform=$BUILDPLATFORM a:1\n", "FROM a:1\n"],
    test: |file, out| {
        for (_, from, _) in file.stages() {
            if let Some(platform) = from.platform.as_ref().filter(|p| !p.value.contains("BUILDPLATFORM") && !p.value.contains("TARGETPLATFORM")) {
                out.word(platform, format!("platform is fixed to `{}`", platform.value));
            }
        }
    },
};
