//! `sh-bash-variable`

use super::{Rule, Severity};
use crate::file::Dialect;
use crate::shell::variables;

pub(super) static RULE: Rule = Rule {
    id: "sh-bash-variable",
    refs: &["SC3028"],
    severity: Severity::Warning,
    default: true,
    finds: "A variable that only bash sets, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Set SHELL to bash, or do without.",
    bad: &["RUN echo \"$RANDOM\"\n", "RUN echo \"$HOSTNAME\"\n"],
    good: &["RUN echo \"$PWD\"\n", "RUN HOSTNAME=a; echo \"$HOSTNAME\"\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN echo \"$RANDOM\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        let assigned: Vec<&str> = variables::assigned(&script.tree).into_iter().map(|a| a.name).collect();
        for (_, word) in script.tree.words() {
            for (piece, name, _) in word.variables() {
                let name = name.trim_start_matches(['#', '!']);
                if variables::BASH_ONLY.contains(&name) && !assigned.contains(&name) && !script.known.contains(name) {
                    out.at(piece.start, piece.end, format!("sh does not set {name}"));
                }
            }
        }
        }
    },
};
