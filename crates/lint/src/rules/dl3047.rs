//! `wget-progress`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "wget-progress",
    refs: &["DL3047"],
    severity: Severity::Info,
    default: true,
    finds: "wget with its progress bar.",
    why: "It fills the build's log.",
    instead: "Give --progress=dot:giga or -q.",
    bad: &["FROM a:1\nRUN wget https://h/x\n"],
    good: &["FROM a:1\nRUN wget -q https://h/x\n", "FROM a:1\nRUN wget --progress=dot:giga https://h/x\n", "FROM a:1\nRUN wget -nv https://h/x\n", "FROM a:1\nRUN wget -o log https://h/x\n"],
    test: |file, out| {
        for run in file.runs() {
            let found = run.commands.iter().find(|c| {
                let quiet = c.has_flag(&["progress", "q", "quiet", "o", "output-file", "a", "append-output", "no-verbose"]) || c.arguments().iter().any(|w| w.text == "-nv");
                c.name() == "wget" && !quiet
            });
            if let Some(c) = found {
                out.command(c, "wget's progress bar fills the log");
                if let Some(word) = c.words.first() {
                    out.insert(word.end, " --progress=dot:giga");
                }
            }
        }
    },
};
