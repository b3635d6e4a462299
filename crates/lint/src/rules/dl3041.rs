//! `unpinned-dnf`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-dnf",
    refs: &["DL3041"],
    severity: Severity::Warning,
    default: true,
    finds: "dnf install without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write package-version.",
    bad: &["FROM a:1\nRUN dnf install -y x\n"],
    good: &["FROM a:1\nRUN dnf install -y x-1.0\n", "FROM a:1\nRUN dnf module install -y m:1\n"],
    test: |file, out| package::rpm_unpinned(file, out, &["dnf", "microdnf"]),
};
