//! `zypper-upgrade`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "zypper-upgrade",
    refs: &["DL3035"],
    severity: Severity::Warning,
    default: true,
    finds: "zypper dist-upgrade in a build.",
    why: "The result differs from day to day.",
    instead: "Use a newer base image.",
    bad: &["FROM a:1\nRUN zypper -n dist-upgrade\n"],
    good: &["FROM a:1\nRUN zypper -n install x=1 && zypper clean\n"],
    test: |file, out| package::once_a_run(file, out, |_, c| package::is_subcommand(c, &["zypper"], &["dist-upgrade", "dup"]).then(|| "upgrades the distribution in a build".to_owned())),
};
