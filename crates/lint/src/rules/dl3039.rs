//! `dnf-update`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "dnf-update",
    refs: &["DL3039"],
    severity: Severity::Error,
    default: false,
    finds: "dnf update in a build.",
    why: "The result differs from day to day.",
    instead: "Use a newer base image.",
    bad: &["FROM a:1\nRUN dnf -y upgrade\n"],
    good: &["FROM a:1\nRUN dnf install -y x-1\n"],
    test: |file, out| package::once_a_run(file, out, |_, c| package::is_subcommand(c, &["dnf", "microdnf"], &["upgrade", "upgrade-minimal", "update"]).then(|| "updates the distribution in a build".to_owned())),
};
