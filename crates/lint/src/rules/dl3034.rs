//! `zypper-without-yes`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "zypper-without-yes",
    refs: &["DL3034"],
    severity: Severity::Warning,
    default: true,
    finds: "zypper that would ask.",
    why: "Nobody answers in a build: the step fails.",
    instead: "Give -n or -y.",
    bad: &["FROM a:1\nRUN zypper install x=1\n"],
    good: &["FROM a:1\nRUN zypper -n install x=1\n", "FROM a:1\nRUN zypper install -y x=1\n"],
    test: |file, out| package::asks(file, out, &["zypper"], &["install", "in", "remove", "rm", "source-install", "si", "patch"], &["n", "non-interactive", "y", "no-confirm"]),
};
