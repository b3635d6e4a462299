//! `sudo-redirect`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "sudo-redirect",
    refs: &["SC2024"],
    severity: Severity::Warning,
    default: true,
    finds: "A redirection of a command that runs under sudo.",
    why: "The file is opened by the shell, not by sudo.",
    instead: "Write sudo tee FILE, or sudo sh -c '… >FILE'.",
    bad: &["RUN sudo echo x > /etc/y\n"],
    good: &["RUN echo x | sudo tee /etc/y\n", "RUN sudo ls > /dev/null\n", "RUN sudo ls 2>&1\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        for redirect in c.redirects.iter().filter(|_| c.name() == "sudo") {
            let operator = redirect.operator.trim_start_matches(|d: char| d.is_ascii_digit());
            let file = [">", ">>", "<", "&>", "&>>"].contains(&operator) && redirect.target.text != "/dev/null";
            if file && redirect.operator.len() == operator.len() {
                out.at(redirect.start, redirect.start + operator.len(), "the shell opens this file, not sudo");
            }
        }
            }
        }
    },
};
