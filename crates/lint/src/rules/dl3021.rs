//! `copy-many-into-file`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "copy-many-into-file",
    refs: &["DL3021"],
    severity: Severity::Error,
    default: true,
    finds: "COPY of several sources to a path without a slash at its end.",
    why: "The build fails: several files cannot become one.",
    instead: "End the destination with /.",
    bad: &["FROM a:1\nCOPY a b /c\n"],
    good: &["FROM a:1\nCOPY a b /c/\n", "FROM a:1\nCOPY a /c\n", "FROM a:1\nCOPY a b $X\n", "FROM a:1\nCOPY a b .\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Copy(copy) = &instruction.kind else { continue };
            let target = copy.destination.value.trim_matches(['"', '\'']);
            if copy.sources.len() > 1 && !target.ends_with(['/', '\\']) && (file.options.as_hadolint || target != "." && !target.ends_with("/.") && !target.contains('$')) {
                out.word(&copy.destination, format!("`{target}` must end with /"));
                let end = copy.destination.span.end.offset;
                if !copy.destination.value.ends_with(['"', '\'']) {
                    out.insert(end, "/");
                }
            }
        }
    },
};
