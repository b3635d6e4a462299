//! `redundant-platform`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "redundant-platform",
    refs: &["DL3065", "RedundantTargetPlatform"],
    severity: Severity::Style,
    default: true,
    finds: "FROM --platform=$TARGETPLATFORM.",
    why: "It is the default.",
    instead: "Leave it out.",
    bad: &["FROM --platform=$TARGETPLATFORM a:1\n", "FROM --platform=${TARGETPLATFORM} a:1\n"],
    good: &["FROM --platform=$BUILDPLATFORM a:1\n"],
    test: |file, out| {
        for (_, from, instructions) in file.stages() {
            let Some(platform) = from.platform.as_ref().filter(|p| ["$TARGETPLATFORM", "${TARGETPLATFORM}"].contains(&p.value.as_str())) else { continue };
            out.word(platform, "the platform is the default one");
            let flag = instructions.first().and_then(|i| i.flags.iter().find(|f| f.name.value == "platform"));
            if let Some(flag) = flag {
                out.replace(flag.span.start.offset, from.image.span.start.offset, "");
            }
        }
    },
};
