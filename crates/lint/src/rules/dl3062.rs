//! `unpinned-go`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-go",
    refs: &["DL3062"],
    severity: Severity::Warning,
    default: true,
    finds: "go install without a version.",
    why: "Two builds of the same file can differ.",
    instead: "Write package@version.",
    bad: &["FROM a:1\nRUN go install example.com/x@latest\n", "FROM a:1\nRUN go install example.com/x\n"],
    good: &["FROM a:1\nRUN go install example.com/x@v1.0.0\n", "FROM a:1\nRUN go install ./...\n", "FROM a:1\nRUN go build\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            if !package::is_subcommand(c, &["go"], &["install", "get", "run"]) {
                return None;
            }
            let found = package::packages(c, &["install", "get", "run"], &["-ldflags", "-tags", "-o", "-gcflags"]);
            let open: Vec<&str> = found.iter().map(|w| w.text.as_str())
                .filter(|p| !p.starts_with(['.', '/']) && p.contains('.') && !p.ends_with(".go"))
                .filter(|p| p.split_once('@').is_none_or(|(_, v)| v == "latest")).collect();
            (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
        });
    },
};
