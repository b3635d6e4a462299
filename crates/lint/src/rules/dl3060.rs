//! `yarn-cache-kept`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "yarn-cache-kept",
    refs: &["DL3060"],
    severity: Severity::Info,
    default: true,
    finds: "yarn install that leaves its cache in the layer.",
    why: "It adds megabytes that nobody uses.",
    instead: "End the step with yarn cache clean.",
    bad: &["FROM a:1\nRUN yarn install\n"],
    good: &["FROM a:1\nRUN yarn install && yarn cache clean\n", "FROM a:1\nRUN --mount=type=cache,target=/root/.cache/yarn yarn install\n"],
    test: |file, out| {
        for run in file.runs() {
            let cleans = run.commands.iter().any(|c| c.name() == "yarn" && c.has_argument("cache") && c.has_argument("clean"));
            let like = file.options.as_hadolint;
            let cached = run.run.mounts.iter().any(|m| m.raw.value.contains("type=cache") && m.raw.value.contains("yarn"));
            if let Some(c) = run.commands.iter().find(|c| package::is_subcommand(c, &["yarn"], &["install"])).filter(|_| !cleans && !cached && if like { package::stays_for_hadolint(file, &run) } else { package::stays(file, &run) }) {
                out.command(c, "yarn's cache stays in the layer");
                out.insert(package::end_of_script(&run), " && yarn cache clean");
            }
        }
    },
};
