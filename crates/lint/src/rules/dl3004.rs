//! `sudo-in-run`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "sudo-in-run",
    refs: &["DL3004"],
    severity: Severity::Error,
    default: true,
    finds: "A RUN with sudo.",
    why: "Steps run as root already unless USER says otherwise, and sudo behaves oddly without a terminal.",
    instead: "Leave sudo out, or switch with USER.",
    bad: &["FROM a:1\nRUN sudo apt-get update\n", "FROM a:1\nRUN a && sudo b\n"],
    good: &["FROM a:1\nRUN apt-get install -y sudo\n"],
    test: |file, out| package::once_a_run(file, out, |_, c| (c.name() == "sudo").then(|| "sudo in a build step".to_owned())),
};
