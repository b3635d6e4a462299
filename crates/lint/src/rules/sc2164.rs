//! `unchecked-cd`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "unchecked-cd",
    refs: &["SC2164"],
    severity: Severity::Warning,
    default: true,
    finds: "cd whose failure nobody sees.",
    why: "What follows runs in the wrong directory.",
    instead: "Write cd … && …, or cd … || exit.",
    bad: &["RUN cd /tmp; ls\n", "RUN a && cd /tmp\n"],
    good: &["RUN cd /tmp && ls\n", "RUN set -e; cd /tmp; ls\n", "RUN cd /tmp || exit 1\n", "RUN cd ..; ls\n", "RUN if cd /x; then ls; fi\n"],
    test: |file, out| {
        for script in file.scripts() {
            let tree = &script.tree;
            if tree.stops_at_errors() {
                continue;
            }
            for (id, c) in tree.simple() {
                let near = matches!(c.arguments(), [one] if one.text.split('/').all(|part| matches!(part, "" | "." | "..")) && (one.text.starts_with('/') || one.text.starts_with('.')) && !one.text.starts_with("./"));
                let stays = c.name() != "cd" && c.has_flag('n', "");
                let known = c.name() == "cd" || matches!(c.name(), "pushd" | "popd");
                if known && !near && !stays && !tree.is_condition(id) && let (Some(first), Some(last)) = (c.words.first(), c.words.last()) {
                    out.at(first.start, last.end, format!("a failure of this {} is not seen", c.name()));
                }
            }
        }
    },
};
