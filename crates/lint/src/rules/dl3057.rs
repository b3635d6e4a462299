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
                // The skeleton says that there is none, which is what is so now unless the base has one.
                let skeleton = "# TODO: a command that asks the service, instead of NONE\nHEALTHCHECK NONE";
                match instructions.iter().find(|i| matches!(i.kind, Kind::Cmd(_) | Kind::Entrypoint(_))) {
                    Some(before) => out.insert(before.span.start.offset, format!("{skeleton}\n")),
                    None => out.insert(instructions.last().map_or(0, |i| i.span.end.offset), format!("\n{skeleton}")),
                }
            }
        }
    },
};
