//! `cd-in-run`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "cd-in-run",
    refs: &["DL3003"],
    severity: Severity::Warning,
    default: true,
    finds: "A RUN that changes directory with cd.",
    why: "It is easily overlooked, and is forgotten at the end of the step.",
    instead: "Use WORKDIR.",
    bad: &["FROM a:1\nRUN cd /x && make\n"],
    good: &["FROM a:1\nWORKDIR /x\nRUN make\n", "FROM a:1\nRUN echo cd\n"],
    test: |file, out| package::once_a_run(file, out, |_, c| (c.name() == "cd").then(|| "use WORKDIR to change directory".to_owned())),
};
