//! `whole-file-system-copied`

use stockade_dockerfile::ast::{Kind, Source};

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "whole-file-system-copied",
    refs: &["DL3067"],
    severity: Severity::Warning,
    default: true,
    finds: "COPY --from=… / /.",
    why: "Everything of the other stage comes along, and its own layers are lost.",
    instead: "Build on that stage with FROM, or copy what is needed.",
    bad: &["FROM a:1 AS b\nFROM c:1\nCOPY --from=b / /\n"],
    good: &["FROM a:1 AS b\nFROM c:1\nCOPY --from=b /x /\n", "FROM a:1\nCOPY / /\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Copy(copy) = &instruction.kind else { continue };
            let root = |text: &str| text.trim_matches(['"', '\'']) == "/";
            let all = copy.sources.iter().any(|s| matches!(s, Source::Path(word) if root(&word.value)));
            if copy.from.is_some() && all && root(&copy.destination.value) {
                out.word(&copy.destination, "the whole file system of another stage");
            }
        }
    },
};
