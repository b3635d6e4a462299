//! `apt-lists-kept`

use super::{Rule, Severity, package};
use crate::file::RunView;

pub(super) static RULE: Rule = Rule {
    id: "apt-lists-kept",
    refs: &["DL3009"],
    severity: Severity::Info,
    default: true,
    finds: "apt package lists that stay in the layer.",
    why: "They add tens of megabytes, and are old the next day.",
    instead: "End the step with rm -rf /var/lib/apt/lists/*.",
    bad: &["FROM a:1\nRUN apt-get update && apt-get install -y x\n"],
    good: &["FROM a:1\nRUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*\n", "FROM a:1\nRUN --mount=type=cache,target=/var/lib/apt apt-get update\n", "FROM a:1 AS b\nRUN apt-get update\nFROM c:1\n"],
    test: |file, out| {
        for run in file.runs() {
            let update = run.commands.iter().find(|c| package::is_subcommand(c, &["apt-get", "apt", "aptitude"], &["update"]));
            let Some(update) = update else { continue };
            let done = if file.options.as_hadolint {
                cleans_for_hadolint(&run) || mounted_for_hadolint(&run) || !package::stays_for_hadolint(file, &run)
            } else {
                cleans(&run) || mounted(&run) || !package::stays(file, &run)
            };
            if done {
                continue;
            }
            out.command(update, "the package lists stay in the layer");
            if let Some(last) = run.commands.iter().rev().find(|c| c.depth == 0).and_then(|c| c.words.last()) {
                out.insert(last.end, " && rm -rf /var/lib/apt/lists/*");
            }
        }
    },
};

fn cleans(run: &RunView<'_, '_>) -> bool {
    run.commands.iter().any(|c| c.name() == "rm" && c.arguments().iter().any(|w| w.text.starts_with("/var/lib/apt/lists")))
}

fn mounted(run: &RunView<'_, '_>) -> bool {
    run.mounted("/var/lib/apt/lists") || run.mounted("/var/lib/apt")
}

/// hadolint takes any `rm -rf` for the cleaning.
fn cleans_for_hadolint(run: &RunView<'_, '_>) -> bool {
    run.commands.iter().any(|c| c.name() == "rm" && (c.has_argument("-rf") || c.has_argument("/var/lib/apt/lists/*")))
}

/// hadolint asks for a mount of the lists, or for both of apt's directories.
fn mounted_for_hadolint(run: &RunView<'_, '_>) -> bool {
    let cached = |directory: &str| {
        run.run.mounts.iter().any(|m| {
            let field = |names: &[&str]| m.fields.iter().find(|(k, _)| names.contains(&k.as_str())).and_then(|(_, v)| v.as_deref());
            field(&["type"]) == Some("cache") && field(&["target", "dst", "destination"]).is_some_and(|t| t.starts_with(directory))
        })
    };
    cached("/var/lib/apt/lists") || cached("/var/lib/apt") && cached("/var/cache/apt")
}
