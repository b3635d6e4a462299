//! `sh-builtin-flag`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-builtin-flag",
    refs: &["SC3045"],
    severity: Severity::Warning,
    default: true,
    finds: "A flag that only bash's builtin has, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Set SHELL to bash, or do without.",
    bad: &["RUN read -p x y && echo \"$y\"\n", "RUN ulimit -n 1\n"],
    good: &["RUN read -r y && echo \"$y\"\n", "RUN export -p\n", "RUN ulimit -f 1\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN read -p x y && echo \"$y\"\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        for (_, c) in script.tree.simple() {
            let known = match c.words.first().map_or("", |w| w.text.as_str()) {
                "read" => "r",
                "printf" | "wait" => "",
                "export" | "readonly" => "p",
                "type" => "",
                "ulimit" => "f",
                "unset" => "fv",
                "umask" => "S",
                _ => continue,
            };
            let flags = c.arguments().iter().take_while(|w| w.text.starts_with('-') && w.text.len() > 1 && w.text != "--" && !w.expands);
            for word in flags {
                if word.text.chars().skip(1).any(|f| f.is_ascii_alphabetic() && !known.contains(f)) {
                    out.shell(word, format!("sh's {} has no {}", c.name(), word.text));
                }
            }
        }
        }
    },
};
