//! `unquoted-variable`

use super::{Rule, Severity, script};
use crate::shell::variables;

pub(super) static RULE: Rule = Rule {
    id: "unquoted-variable",
    refs: &["SC2086"],
    severity: Severity::Info,
    default: true,
    finds: "A variable outside quotes.",
    why: "Its value is split at spaces, and patterns in it become file names.",
    instead: "Put it in double quotes, unless it is meant to be split.",
    bad: &["RUN echo $X\n", "RUN ls $X/y\n", "RUN X=\"a b\"; echo $X\n"],
    good: &["RUN echo \"$X\"\n", "RUN X=$Y; echo \"$X\"\n", "RUN X=1; echo $X\n", "RUN for i in $X; do echo \"$i\"; done\n", "RUN [ $# -gt 0 ]\n", "ENV X=1\nRUN echo \"$X\"\n", "RUN case $X in a) ls;; esac\n"],
    test: |file, out| {
        for script in file.scripts() {
            let values = variables::Values::of(&script.tree);
            // ShellCheck knows nothing of values in commands that are never reached.
            let dead = super::sc2317::end_of_life(&script.tree).filter(|_| file.options.as_hadolint);
            script::split_pieces(script, |id, piece| {
                let Some((name, rest)) = piece.variable() else { return };
                let number = variables::NUMBERS.contains(&name) || name.starts_with('#');
                let several = name == "@" || rest.starts_with("[@");
                let chosen = rest.starts_with('+') || rest.starts_with(":+");
                let bare = name.trim_start_matches('!');
                // hadolint gives ShellCheck every ENV and ARG with the value 1.
                let outside = if file.options.as_hadolint { script.known.contains(bare) } else { script.clean.contains(bare) };
                let alive = dead.is_none_or(|end| piece.start < end);
                let clean = alive && values.clean_at(bare, id, piece.start, outside);
                let cut = !rest.starts_with([':', '-', '=', '?']) && !rest.contains(char::is_whitespace);
                if !number && !several && !chosen && !(clean && cut) {
                    out.at(piece.start, piece.end, "the value is split at spaces");
                }
            });
        }
    },
};
