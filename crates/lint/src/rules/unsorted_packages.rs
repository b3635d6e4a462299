//! `unsorted-packages`

use super::{Rule, Severity, package};
use crate::model::Edit;

pub(super) static RULE: Rule = Rule {
    id: "unsorted-packages",
    refs: &[],
    severity: Severity::Style,
    default: true,
    finds: "Packages on lines of their own that are not in order.",
    why: "Twice the same, and what a change adds, is hard to see.",
    instead: "Sort them.",
    bad: &["FROM a:1\nRUN apt-get update && apt-get install -y \\\n    vim=1 \\\n    curl=2 \\\n && rm -rf /x\n", "FROM a:1\nRUN apk add --no-cache \\\n  b=1 \\\n  a=1\n"],
    good: &["FROM a:1\nRUN apt-get install -y \\\n    curl=2 \\\n    vim=1\n", "FROM a:1\nRUN apt-get install -y vim=1 curl=2\n", "FROM a:1\nRUN apt-get install -y vim=1 curl=2 \\\n    a=1\n", "FROM a:1\nRUN apt-get install -y \\\n    vim=1 \\\n    \"$X\" \\\n    a=1\n"],
    test: |file, out| {
        for run in file.runs() {
            for c in run.commands {
                let Some((programs, subcommands)) = INSTALLERS.iter().find(|(p, _)| *p == c.name()) else { continue };
                if !package::is_subcommand(c, &[programs], subcommands) {
                    continue;
                }
                let listed = package::packages(c, subcommands, &["-t", "--target-release", "-o", "-c", "--virtual"]);
                let lines: Vec<u32> = listed.iter().map(|w| file.place(w.start).0).collect();
                let before = c.words.iter().take_while(|w| listed.first().is_none_or(|f| w.start < f.start)).last();
                let apart = lines.windows(2).all(|l| matches!(l, [a, b] if a < b)) && before.is_none_or(|w| lines.first() > Some(&file.place(w.start).0));
                let plain = listed.iter().all(|w| w.raw == w.text && !w.expands && !w.text.starts_with('-'));
                let mut sorted: Vec<&str> = listed.iter().map(|w| w.text.as_str()).collect();
                sorted.sort_unstable();
                let in_order = listed.iter().zip(&sorted).all(|(w, s)| w.text == *s);
                if let (Some(first), Some(last)) = (listed.first(), listed.last())
                    && apart && plain && !in_order
                {
                    out.at(first.start, last.end, "packages out of order");
                    let moved = listed.iter().zip(&sorted).filter(|(w, s)| w.text != **s);
                    out.fix(moved.map(|(w, s)| Edit { start: w.start, end: w.end, text: (*s).to_owned() }).collect());
                }
            }
        }
    },
};

const INSTALLERS: [(&str, &[&str]); 6] = [
    ("apt-get", &["install"]),
    ("apt", &["install"]),
    ("apk", &["add"]),
    ("dnf", &["install"]),
    ("yum", &["install"]),
    ("zypper", &["install", "in"]),
];
