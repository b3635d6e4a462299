//! `command-as-a-value`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "command-as-a-value",
    refs: &["SC2209"],
    severity: Severity::Warning,
    default: true,
    finds: "A program's name as the value of a variable.",
    why: "The program does not run: the variable holds its name.",
    instead: "Write NAME=$(program) for its output, or quote the name.",
    bad: &["RUN X=ls; echo \"$X\"\n"],
    good: &["RUN X=$(ls); echo \"$X\"\n", "RUN X=\"ls\"; echo \"$X\"\n", "RUN X=release; echo \"$X\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
                for word in &c.assignments {
                    let value = word.raw.split_once('=').map_or("", |(_, v)| v);
                    if COMMON.contains(&value) {
                        out.shell(word, format!("{value} does not run here"));
                    }
                }
            }
        }
    },
};

/// Programs that scripts often run (POSIX.1-2024, "Utilities", the common ones).
const COMMON: [&str; 41] = [
    "ar", "at", "awk", "basename", "bc", "cal", "cat", "chgrp", "chmod", "chown", "cp", "cut", "date", "dd", "df", "diff", "dirname",
    "du", "echo", "env", "find", "getconf", "grep", "head", "id", "ls", "mkdir", "mv", "paste", "ps", "pwd", "rm", "sed", "sleep",
    "sort", "tail", "tr", "uname", "uniq", "wc", "who",
];
