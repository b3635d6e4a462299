//! Comments that switch rules off: `# hadolint ignore=DL3008,SC2046`, `# hadolint global ignore=DL3059`,
//! `# stockade ignore=moving-tag reason="pinned by the mirror"`.

use stockade_dockerfile::ast::Dockerfile;

use crate::model::Finding;
use crate::rules::find;

struct Ignore {
    ids: Vec<String>,
    /// Line of the instruction it stands before; `None` is the whole file.
    line: Option<(u32, u32)>,
    comment_line: u32,
    used: bool,
}

/// Takes out what comments switch off. Returns comments that switched nothing off, and `stockade` ones without a reason.
pub(crate) fn apply(dockerfile: &Dockerfile, findings: &mut Vec<Finding>) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut ignores = Vec::new();
    for (index, comment) in dockerfile.comments.iter().enumerate() {
        let Some((ids, global, reason, ours)) = read(&comment.text) else { continue };
        let line = comment.span.start.line;
        if ours && reason.is_none() {
            complaints.push(format!("line {line}: `stockade ignore` needs reason=…; it is not obeyed"));
            continue;
        }
        let holder = dockerfile
            .instructions
            .iter()
            .find(|i| i.comments.contains(&index) || (i.span.start.line <= line && line <= i.span.end.line))
            .map(|i| (i.span.start.line, i.span.end.line));
        ignores.push(Ignore {
            ids,
            line: if global { None } else { Some(holder.unwrap_or((line, line))) },
            comment_line: line,
            used: false,
        });
    }
    findings.retain(|finding| {
        let mut keep = true;
        for ignore in &mut ignores {
            let here = ignore.line.is_none_or(|(from, to)| from <= finding.line && finding.line <= to);
            if here && ignore.ids.iter().any(|id| finding.id == id || finding.refs.contains(&id.as_str())) {
                ignore.used = true;
                keep = false;
            }
        }
        keep
    });
    for ignore in ignores.iter().filter(|i| !i.used) {
        // Rules that we do not have (another tool's) may be ignored in peace.
        if ignore.ids.iter().all(|id| find(id).is_some()) {
            complaints.push(format!(
                "line {}: ignore={} switches nothing off",
                ignore.comment_line,
                ignore.ids.join(",")
            ));
        }
    }
    complaints
}

/// Whether a comment is one of hadolint's that switches rules off.
pub(crate) fn is_hadolint(comment: &str) -> bool {
    read(comment).is_some_and(|(_, _, _, ours)| !ours)
}

/// Ids, whether for the whole file, the reason, and whether it is our own form.
fn read(comment: &str) -> Option<(Vec<String>, bool, Option<String>, bool)> {
    let mut rest = comment.trim();
    let ours = rest.starts_with("stockade ");
    rest = rest.strip_prefix("hadolint ").or_else(|| rest.strip_prefix("stockade "))?.trim_start();
    let global = rest.starts_with("global ");
    rest = rest.strip_prefix("global ").unwrap_or(rest).trim_start();
    rest = rest.strip_prefix("ignore")?.trim_start().strip_prefix('=')?.trim_start();
    let (list, tail) = rest.split_once(" reason").map_or((rest, None), |(l, t)| (l, Some(t)));
    let ids: Vec<String> = list.split([',', ' ']).map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect();
    let reason = tail
        .and_then(|t| t.trim_start().strip_prefix('='))
        .map(|t| t.trim().trim_matches('"').to_owned())
        .filter(|t| !t.is_empty());
    (!ids.is_empty()).then_some((ids, global, reason, ours))
}

#[cfg(test)]
mod tests {
    use crate::{Options, lint};

    fn ids(text: &str) -> (Vec<&'static str>, Vec<String>) {
        let report = lint(text.as_bytes(), "f", &Options::default());
        (report.findings.iter().map(|f| f.id).collect(), report.unused_ignores)
    }

    #[test]
    fn a_comment_switches_off_the_next_instruction_only() {
        let (found, _) = ids(
            "FROM a:1\n# hadolint ignore=DL3004\nRUN sudo x\nRUN y\nENV a=b\nRUN sudo z\nUSER u\nHEALTHCHECK NONE\n",
        );
        assert_eq!(found.iter().filter(|i| **i == "sudo-in-run").count(), 1, "{found:?}");
        let (found, _) = ids("# hadolint global ignore=DL3004\nFROM a:1\nRUN sudo x\nENV a=b\nRUN sudo z\nUSER u\n");
        assert!(!found.contains(&"sudo-in-run"), "{found:?}");
    }

    #[test]
    fn our_own_comments_need_a_reason_and_an_effect() {
        let (found, complaints) = ids("FROM a:1\n# stockade ignore=DL3004\nRUN sudo x\nUSER u\n");
        assert!(found.contains(&"sudo-in-run") && complaints[0].contains("needs reason"), "{complaints:?}");
        let (found, _) =
            ids("FROM a:1\n# stockade ignore=sudo-in-run reason=\"legacy installer\"\nRUN sudo x\nUSER u\n");
        assert!(!found.contains(&"sudo-in-run"));
        let (_, complaints) = ids("FROM a:1\n# hadolint ignore=DL3004\nRUN x\nUSER u\n");
        assert!(complaints[0].contains("switches nothing off"), "{complaints:?}");
    }
}
