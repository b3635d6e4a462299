//! `useless-echo`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "useless-echo",
    refs: &["SC2005"],
    severity: Severity::Style,
    default: true,
    finds: "An echo of nothing but a command's output.",
    why: "The command prints it itself; echo hides its exit code.",
    instead: "Run the command alone.",
    bad: &["RUN echo $(date)\n", "RUN echo \"$(date)\"\n"],
    good: &["RUN date\n", "RUN echo \"today: $(date)\"\n", "RUN echo \"$(<f)\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (id, c) in script.tree.simple() {
        if c.name() == "echo" && let [word] = c.arguments() && let [piece] = word.pieces.as_slice() && script::is_command(piece) {
            // `$(<file)` prints a file: there is no command.
            let runs = script.tree.script_of(id, piece).is_some_and(|list| script::has_commands(&script.tree, list));
            if runs {
                out.shell(word, "echo only repeats what the command prints");
            }
        }
            }
        }
    },
};
