//! `apk-upgrade`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "apk-upgrade",
    refs: &["DL3017"],
    severity: Severity::Error,
    default: false,
    finds: "apk upgrade in a build.",
    why: "The result differs from day to day.",
    instead: "Use a newer base image.",
    bad: &["FROM a:1\nRUN apk update && apk upgrade\n"],
    good: &["FROM a:1\nRUN apk add --no-cache x=1\n"],
    test: |file, out| package::once_a_run(file, out, |_, c| package::is_subcommand(c, &["apk"], &["upgrade"]).then(|| "apk upgrade".to_owned())),
};
