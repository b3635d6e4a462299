//! `dnf-without-yes`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "dnf-without-yes",
    refs: &["DL3038"],
    severity: Severity::Warning,
    default: true,
    finds: "dnf install that would ask.",
    why: "Nobody answers in a build: the step fails.",
    instead: "Give it -y.",
    bad: &["FROM a:1\nRUN dnf install x-1\n", "FROM a:1\nRUN microdnf install x-1\n"],
    good: &["FROM a:1\nRUN dnf install -y x-1\n"],
    test: |file, out| package::asks(file, out, &["dnf", "microdnf"], &["install", "groupinstall", "localinstall"], &["y", "assumeyes"]),
};
