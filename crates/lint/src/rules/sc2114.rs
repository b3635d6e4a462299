//! `removes-system-directory`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "removes-system-directory",
    refs: &["SC2114"],
    severity: Severity::Warning,
    default: true,
    finds: "rm -r of a system directory.",
    why: "The image is broken afterwards.",
    instead: "Name what is to go.",
    bad: &["RUN rm -rf /usr\n", "RUN rm -rf /etc\n"],
    good: &["RUN rm -rf /usr/share/doc\n", "RUN rm -rf /opt\n", "RUN rm -rf /tmp/*\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let recursive = c.name() == "rm" && (c.has_flag('r', "recursive") || c.has_flag('R', ""));
        for word in c.operands().filter(|_| recursive) {
            let path = word.text.trim_end_matches('/');
            if !word.expands && (script::SYSTEM.contains(&path) || path.is_empty() && word.text.starts_with('/')) {
                out.shell(word, "this is a system directory");
            }
        }
            }
        }
    },
};
