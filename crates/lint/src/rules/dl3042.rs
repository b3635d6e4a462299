//! `pip-cache-kept`

use stockade_dockerfile::ast::Kind;

use super::dl3013::is_pip_install;
use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "pip-cache-kept",
    refs: &["DL3042"],
    severity: Severity::Warning,
    default: true,
    finds: "pip install that leaves its cache in the layer.",
    why: "It adds megabytes that nobody uses.",
    instead: "Give --no-cache-dir.",
    bad: &["FROM a:1\nRUN pip install x==1\n"],
    good: &["FROM a:1\nRUN pip install --no-cache-dir x==1\n", "FROM a:1\nENV PIP_NO_CACHE_DIR=1\nRUN pip install x==1\n", "FROM a:1\nRUN PIP_NO_CACHE_DIR=off pip install x==1\n", "FROM a:1\nRUN --mount=type=cache,target=/root/.cache/pip pip install x==1\n", "FROM a:1\nRUN pipx install x==1\n"],
    test: |file, out| {
        let mut off = false;
        let mut runs = file.runs().peekable();
        for (index, instruction) in file.instructions().enumerate() {
            match &instruction.kind {
                Kind::From(_) => off = false,
                Kind::Env(pairs) => off |= pairs.iter().any(|p| p.key.value == "PIP_NO_CACHE_DIR" && truthy(&p.value.value, file.options.as_hadolint)),
                _ => {}
            }
            let Some(run) = runs.next_if(|r| r.index == index) else { continue };
            if off || run.mounted("/root/.cache/pip") {
                continue;
            }
            let found = run.commands.iter().find(|c| {
                is_pip_install(c) && !c.has_flag(&["no-cache-dir"])
                    && !c.assignments.iter().any(|a| a.text.strip_prefix("PIP_NO_CACHE_DIR=").is_some_and(|v| truthy(v, file.options.as_hadolint)))
            });
            if let Some(c) = found {
                out.command(c, "pip's cache stays in the layer");
                if let Some(word) = c.arguments().iter().find(|w| w.text == "install") {
                    out.insert(word.end, " --no-cache-dir");
                }
            }
        }
    },
};

/// pip reads the variable upside down for some words: every boolean word switches the cache off.
fn truthy(value: &str, as_hadolint: bool) -> bool {
    if as_hadolint {
        return ["1", "true", "on", "yes"].contains(&value.to_ascii_lowercase().as_str());
    }
    ["1", "true", "on", "yes", "0", "false", "off", "no"].contains(&value.trim_matches(['"', '\'']).to_ascii_lowercase().as_str())
}
