//! `copy-from-unknown-stage`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "copy-from-unknown-stage",
    refs: &["DL3022"],
    severity: Severity::Warning,
    default: true,
    finds: "COPY --from that names no earlier stage.",
    why: "It is fetched as an image of that name, which may not be what is meant.",
    instead: "Name a stage with FROM … AS, or give the image with its tag.",
    bad: &["FROM a:1\nCOPY --from=nope /x /y\n"],
    good: &["FROM a:1 AS b\nFROM c:1\nCOPY --from=b /x /y\n", "FROM a:1\nFROM b:1\nCOPY --from=0 /x /y\n", "FROM a:1\nCOPY --from=img:1 /x /y\n"],
    test: |file, out| {
        for (stage, _, instructions) in file.stages() {
            for instruction in instructions {
                let Kind::Copy(copy) = &instruction.kind else { continue };
                let Some(from) = &copy.from else { continue };
                let name = from.value.as_str();
                let earlier = file.dockerfile.stages.iter().take(stage.index).any(|s| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)));
                let own = stage.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name));
                let number = name.parse::<usize>().is_ok();
                if !earlier && !number && !own && !name.contains([':', '@']) {
                    out.word(from, format!("`{name}` is no earlier stage"));
                }
            }
        }
    },
};
