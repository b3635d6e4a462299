//! `sh-echo-flags`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-echo-flags",
    refs: &["SC3037"],
    severity: Severity::Warning,
    default: true,
    finds: "echo with flags for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Use printf.",
    bad: &["RUN echo -e x\n", "RUN echo -n x\n"],
    good: &["RUN printf x\n", "RUN echo -x\n", "RUN echo - x\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo -e x\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, c) in script.tree.simple().filter(|(_, c)| c.words.first().is_some_and(|w| w.text == "echo")) {
            for word in c.arguments().iter().take(1) {
                let flags = word.text.strip_prefix('-').unwrap_or("");
                if !flags.is_empty() && flags.chars().all(|f| "neE".contains(f)) {
                    out.shell(word, "some shells print this");
                }
            }
        }
        }
    },
};
