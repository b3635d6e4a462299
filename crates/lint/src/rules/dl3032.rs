//! `yum-cache-kept`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "yum-cache-kept",
    refs: &["DL3032"],
    severity: Severity::Warning,
    default: true,
    finds: "yum install that leaves its cache in the layer.",
    why: "It adds megabytes that nobody uses.",
    instead: "End the step with yum clean all.",
    bad: &["FROM a:1\nRUN yum install -y x-1\n"],
    good: &["FROM a:1\nRUN yum install -y x-1 && yum clean all\n", "FROM a:1\nRUN yum install -y x-1 && rm -rf /var/cache/yum/*\n"],
    test: |file, out| package::leaves_cache(file, out, &["yum"], &["install"], &["/var/cache/yum"], "yum clean all"),
};
