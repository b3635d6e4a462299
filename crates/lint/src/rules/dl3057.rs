//! `no-healthcheck`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "no-healthcheck",
    refs: &["DL3057", "CIS-4.6"],
    severity: Severity::Info,
    default: false,
    finds: "A last stage without HEALTHCHECK.",
    why: "A container that hangs looks alive.",
    instead: "Add HEALTHCHECK.",
    bad: &["FROM a:1\nCMD [\"x\"]\n"],
    good: &["FROM a:1\nHEALTHCHECK CMD x\n", "FROM a:1\nHEALTHCHECK NONE\n", "FROM a:1 AS b\nHEALTHCHECK CMD x\nFROM b\n"],
    test: |file, out| {
        let mut checked: Vec<String> = Vec::new();
        let last = file.dockerfile.stages.len();
        for (stage, from, instructions) in file.stages() {
            let has = instructions.iter().any(|i| matches!(i.kind, Kind::Healthcheck(_))) || checked.iter().any(|n| n.eq_ignore_ascii_case(&from.image.value));
            if has {
                checked.extend(stage.name.clone());
            } else if stage.index + 1 == last {
                out.word(&from.image, "no HEALTHCHECK in this stage");
            }
        }
    },
};
