//! `shell-syntax`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "shell-syntax",
    refs: &["SC1072", "SC1073", "SC1070", "SC1089", "SC1133", "SC1045", "SC1009", "SC1061", "SC1062", "SC1046", "SC1047"],
    severity: Severity::Error,
    default: true,
    finds: "A script that the shell cannot read.",
    why: "The step fails before its first command.",
    instead: "Close what is open, and end what was begun.",
    bad: &["RUN echo \"x\n", "RUN if ls; then\n", "RUN ls &&\n", "RUN for i in a; do ls\n", "RUN ls; ; ls\n", "RUN ls )\n"],
    good: &["RUN echo \"x\"\n", "RUN if ls; then ls; fi\n", "RUN case $X in a|b) ls;; *) ls; esac\n", "RUN f() { ls; }; f\n", "RUN ((X = 1)) || [[ -n $X && ( a < b ) ]]\n", "RUN for ((i=0;i<3;i++)); do ls; done\n", "RUN time ls | cat\n", "RUN X=(a b) ls\n", "RUN cat <<E\n$(\nE\n", "RUN if a; then b; elif c; then d; else e; fi >x 2>&1\n", "RUN while :; do ls; done | cat & wait\n"],
    test: |file, out| {
        for (_, error) in file.broken_scripts() {
            out.at(error.start, error.end, error.message.clone());
        }
    },
};
