//! `useradd-high-uid`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "useradd-high-uid",
    refs: &["DL3046"],
    severity: Severity::Warning,
    default: true,
    finds: "useradd with a high number and without -l.",
    why: "It writes a sparse login log that takes gigabytes when the image is stored.",
    instead: "Give it -l.",
    bad: &["FROM a:1\nRUN useradd -u 123456 x\n", "FROM a:1\nRUN useradd --uid 123456 x\n"],
    good: &["FROM a:1\nRUN useradd -l -u 123456 x\n", "FROM a:1\nRUN useradd -u 12345 x\n", "FROM a:1\nRUN useradd x\n"],
    test: |file, out| {
        for run in file.runs() {
            for c in run.commands.iter().filter(|c| c.name() == "useradd" && !c.has_flag(&["l", "no-log-init"])) {
                let values = c.arguments().windows(2).filter_map(|w| match w {
                    [flag, value] if flag.text == "-u" || flag.text == "--uid" && !file.options.as_hadolint => Some(value),
                    _ => None,
                });
                if values.into_iter().any(|v| v.text.len() > 5) {
                    out.command(c, "a high user number without -l");
                    if let Some(word) = c.words.first() {
                        out.insert(word.end, " -l");
                    }
                    break;
                }
            }
        }
    },
};
