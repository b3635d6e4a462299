//! `masked-exit-code`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "masked-exit-code",
    refs: &["SC2155"],
    severity: Severity::Warning,
    default: true,
    finds: "export, local, declare or readonly with a command's output.",
    why: "The exit code is that of export: a failure of the command is not seen.",
    instead: "Assign first, export afterwards.",
    bad: &["RUN export X=\"$(ls)\"\n"],
    good: &["RUN X=$(ls) && export X\n", "RUN export X=1\n", "RUN export X=\"a\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if script::DECLARES.contains(&c.name()) {
            for word in c.arguments() {
                let runs = word.pieces.iter().any(script::is_command);
                if let Some((name, _)) = word.assignment().filter(|_| runs) {
                    out.at(word.start, word.start + name.len(), "a failure of the command is not seen");
                }
            }
        }
            }
        }
    },
};
