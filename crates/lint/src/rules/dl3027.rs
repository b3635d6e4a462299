//! `apt-in-script`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "apt-in-script",
    refs: &["DL3027"],
    severity: Severity::Warning,
    default: true,
    finds: "apt in a build step.",
    why: "apt is for people: its options and output change between releases.",
    instead: "Use apt-get or apt-cache.",
    bad: &["FROM a:1\nRUN apt install -y x=1\n"],
    good: &["FROM a:1\nRUN apt-get install -y x=1\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| (c.name() == "apt").then(|| "apt is for people, not for scripts".to_owned()));
    },
};
