//! `pipe-hides-failure`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};
use crate::shell::Join;

pub(super) static RULE: Rule = Rule {
    id: "pipe-hides-failure",
    refs: &["DL4006"],
    severity: Severity::Warning,
    default: true,
    finds: "A pipe in a RUN without pipefail.",
    why: "Only the last program's failure counts: a failed download builds an image all the same.",
    instead: "Set SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"] before it.",
    bad: &["FROM a:1\nRUN a | b\n"],
    good: &["FROM a:1\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN a | b\n", "FROM a:1\nRUN a || b\n", "FROM a:1\nRUN set -o pipefail && a | b\n"],
    test: |file, out| {
        let mut safe = false;
        let mut runs = file.runs().peekable();
        for (index, instruction) in file.instructions().enumerate() {
            match &instruction.kind {
                Kind::From(_) => safe = false,
                Kind::Shell(words) => {
                    let joined: Vec<&str> = words.iter().map(|w| w.value.as_str()).collect();
                    let name = joined.first().map_or("", |w| w.rsplit('/').next().unwrap_or(""));
                    let text = joined.join(" ");
                    // Shells without pipefail (dash, PowerShell) are not asked for it.
                    let knows = ["bash", "zsh", "ash"].contains(&name);
                    let without = if file.options.as_hadolint { ["pwsh", "powershell", "cmd"].iter().any(|s| text.starts_with(s)) } else { !knows && !["sh", ""].contains(&name) };
                    safe = text.contains("pipefail") && knows || without;
                }
                _ => {}
            }
            let Some(run) = runs.next_if(|r| r.index == index) else { continue };
            let set = !file.options.as_hadolint && run.commands.iter().any(|c| c.name() == "set" && c.has_argument("pipefail"));
            if let Some(c) = run.commands.iter().find(|c| c.join == Join::Pipe).filter(|_| !safe && !set) {
                out.command(c, "the failure of the program before this pipe is not seen");
            }
        }
    },
};
