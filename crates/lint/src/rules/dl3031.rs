//! `yum-update`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "yum-update",
    refs: &["DL3031"],
    severity: Severity::Error,
    default: false,
    finds: "yum update in a build.",
    why: "The result differs from day to day.",
    instead: "Use a newer base image.",
    bad: &["FROM a:1\nRUN yum -y update\n"],
    good: &["FROM a:1\nRUN yum install -y x-1\n"],
    test: |file, out| package::once_a_run(file, out, |_, c| package::is_subcommand(c, &["yum"], &["update", "update-to", "upgrade", "upgrade-to"]).then(|| "updates the distribution in a build".to_owned())),
};
