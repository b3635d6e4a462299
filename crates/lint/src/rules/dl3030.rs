//! `yum-without-yes`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "yum-without-yes",
    refs: &["DL3030"],
    severity: Severity::Warning,
    default: true,
    finds: "yum install that would ask.",
    why: "Nobody answers in a build: the step fails.",
    instead: "Give it -y.",
    bad: &["FROM a:1\nRUN yum install x-1\n"],
    good: &["FROM a:1\nRUN yum install -y x-1\n", "FROM a:1\nRUN yum -y localinstall x.rpm\n"],
    test: |file, out| super::package::asks(file, out, &["yum"], &["install", "groupinstall", "localinstall"], &["y", "assumeyes"]),
};
