//! `sh-bash-builtin`

use super::{Rule, Severity, script};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-bash-builtin",
    refs: &["SC3044"],
    severity: Severity::Warning,
    default: true,
    finds: "A builtin that only bash has, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Set SHELL to bash, or do without.",
    bad: &["RUN pushd /tmp && ls\n", "RUN shopt -s nullglob\n"],
    good: &["RUN cd /tmp && ls\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN pushd /tmp && ls\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        let builtins = ["pushd", "popd", "dirs", "shopt", "declare", "typeset", "caller", "compgen", "complete", "disown", "enable", "mapfile", "readarray", "suspend"];
        for (_, c) in script.tree.simple().filter(|(_, c)| c.words.first().is_some_and(|w| builtins.contains(&w.text.as_str()))) {
            script::whole(out, c, format!("sh has no {}", c.name()));
        }
        }
    },
};
