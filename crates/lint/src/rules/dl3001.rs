//! `useless-command`

use super::{Rule, Severity, package};

const USELESS: [&str; 11] = ["free", "kill", "mount", "ps", "service", "shutdown", "ssh", "top", "vim", "ifconfig", "nano"];

pub(super) static RULE: Rule = Rule {
    id: "useless-command",
    refs: &["DL3001"],
    severity: Severity::Info,
    default: true,
    finds: "A command that makes no sense while an image is built.",
    why: "It works on a running machine, and a build is none: services do not stay up, and nobody watches top.",
    instead: "Leave it out, or run it in the container.",
    bad: &["FROM a:1\nRUN service x start\n", "FROM a:1\nRUN a && top\n"],
    good: &["FROM a:1\nRUN echo service\n", "FROM a:1\nRUN apt-get install -y ssh\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            (USELESS.contains(&c.name()) && c.name() != "nano").then(|| format!("`{}` makes no sense in a build", c.name()))
        });
    },
};
