//! Quick fixes, as edits of the document.

use serde_json::{Value, json};

use super::place::{Encoding, Text};
use crate::fix::apply;
use crate::model::{Edit, Finding};

/// Code actions for a byte range: each finding's own fix, a comment that switches it off here, and all fixes at once.
pub(super) fn actions(
    uri: &str,
    text: &Text,
    findings: &[Finding],
    (from, to): (usize, usize),
    wanted: &dyn Fn(&str) -> bool,
    encoding: Encoding,
    diagnostic: &dyn Fn(&Finding) -> Value,
) -> Vec<Value> {
    let mut out = Vec::new();
    let change = |edits: Vec<Value>| json!({"changes": {uri: edits}});
    if wanted("quickfix") {
        for finding in findings {
            let (start, end) = text.of_finding(finding);
            if end < from || to < start {
                continue;
            }
            let name = finding.refs.first().copied().unwrap_or(finding.id);
            if let Some(fix) = finding.fix.as_ref().filter(|f| !f.is_empty()) {
                out.push(json!({
                    "title": format!("{} ({name})", finding.advice), "kind": "quickfix", "isPreferred": true,
                    "diagnostics": [diagnostic(finding)],
                    "edit": change(fix.iter().map(|e| edit(text, e, encoding)).collect()),
                }));
            }
            let line = text.of_characters(finding.line, 1);
            let comment = json!({
                "range": text.range(line, line, encoding), "newText": format!("# hadolint ignore={name}\n"),
            });
            out.push(json!({
                "title": format!("Ignore {name} here"), "kind": "quickfix", "diagnostics": [diagnostic(finding)],
                "edit": change(vec![comment]),
            }));
        }
    }
    if wanted("source.fixAll") {
        let (mended, count) = apply(&text.text, findings);
        if count > 0 {
            let all = json!({"range": text.range(0, text.text.len(), encoding), "newText": mended});
            out.push(json!({
                "title": format!("Mend all {count} that can be mended"), "kind": "source.fixAll",
                "edit": change(vec![all]),
            }));
        }
    }
    out
}

fn edit(text: &Text, edit: &Edit, encoding: Encoding) -> Value {
    let range = text.range(edit.start + text.mark(), edit.end + text.mark(), encoding);
    json!({"range": range, "newText": edit.text})
}
