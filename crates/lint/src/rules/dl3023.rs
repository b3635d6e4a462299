//! `copy-from-itself`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "copy-from-itself",
    refs: &["DL3023"],
    severity: Severity::Error,
    default: true,
    finds: "COPY --from that names its own stage.",
    why: "The stage is not built yet: the build fails.",
    instead: "Copy with RUN cp, or from another stage.",
    bad: &["FROM a:1 AS b\nCOPY --from=b /x /y\n"],
    good: &["FROM a:1 AS b\nFROM c:1 AS d\nCOPY --from=b /x /y\n"],
    test: |file, out| {
        for (stage, _, instructions) in file.stages() {
            for instruction in instructions {
                let Kind::Copy(copy) = &instruction.kind else { continue };
                if let Some(from) = copy.from.as_ref().filter(|f| stage.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(&f.value))) {
                    out.word(from, format!("stage `{}` copies from itself", from.value));
                }
            }
        }
    },
};
