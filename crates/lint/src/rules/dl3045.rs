//! `copy-without-workdir`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "copy-without-workdir",
    refs: &["DL3045"],
    severity: Severity::Warning,
    default: true,
    finds: "COPY to a relative path without a WORKDIR before it.",
    why: "Where the files land depends on the base image.",
    instead: "Set WORKDIR, or write the whole path.",
    bad: &["FROM a:1\nCOPY x y\n"],
    good: &["FROM a:1\nWORKDIR /w\nCOPY x y\n", "FROM a:1\nCOPY x /y\n", "FROM a:1\nCOPY x $Y\n", "FROM a:1 AS b\nWORKDIR /w\nFROM b\nCOPY x y\n"],
    test: |file, out| {
        let mut with_workdir: Vec<String> = Vec::new();
        for (stage, from, instructions) in file.stages() {
            let like = file.options.as_hadolint;
            // hadolint remembers images by name, tags aside.
            let image = if like { package::image_name(&from.image.value) } else { from.image.value.as_str() };
            let mut set = with_workdir.iter().any(|n| n.eq_ignore_ascii_case(image));
            for instruction in instructions {
                match &instruction.kind {
                    Kind::Workdir(_) => set = true,
                    Kind::Copy(copy) if !set => {
                        let target = copy.destination.value.trim_matches(['"', '\'']);
                        let drive = target.get(1..2) == Some(":");
                        if !target.starts_with(['/', '$', '\\']) && !drive {
                            out.word(&copy.destination, format!("`{target}` is relative, and there is no WORKDIR before it"));
                        }
                    }
                    _ => {}
                }
            }
            if set {
                with_workdir.extend(stage.name.clone().or_else(|| like.then(|| image.to_owned())));
            }
        }
    },
};
