//! `unpinned-yum`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-yum",
    refs: &["DL3033"],
    severity: Severity::Warning,
    default: true,
    finds: "yum install without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write package-version.",
    bad: &["FROM a:1\nRUN yum install -y x\n", "FROM a:1\nRUN yum module install -y m\n"],
    good: &["FROM a:1\nRUN yum install -y x-1.0\n", "FROM a:1\nRUN yum install -y ./x.rpm\n", "FROM a:1\nRUN yum module install -y m:1\n"],
    test: |file, out| package::rpm_unpinned(file, out, &["yum"]),
};
