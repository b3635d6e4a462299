//! What is said about the place under the pointer.

use stockade_dockerfile::ast::{Instruction, Kind};
use stockade_dockerfile::parse_fragment;

use super::help;
use super::place::Text;
use crate::model::Finding;
use crate::rules::find;

/// Markdown about a place, and the byte range that it is about.
pub(super) fn hover(text: &Text, findings: &[Finding], offset: usize) -> Option<(String, (usize, usize))> {
    let mut parts = Vec::new();
    let mut range = None;
    for finding in findings {
        let (start, end) = text.of_finding(finding);
        if start <= offset && offset <= end {
            parts.push(rule(finding));
            range.get_or_insert((start, end));
        }
    }
    if let Some((words, place)) = instruction(text, offset) {
        parts.push(words);
        range.get_or_insert(place);
    }
    Some((parts.join("\n\n---\n\n"), range?))
}

fn rule(finding: &Finding) -> String {
    let names: Vec<&str> = std::iter::once(finding.id).chain(finding.refs.iter().copied()).collect();
    let mut out = format!("**{}** ({})", finding.message, names.join(", "));
    if let Some(rule) = find(finding.id) {
        out.push_str(&format!("\n\n{} {}\n\n**Instead:** {}", rule.finds, rule.why, rule.instead));
    }
    out
}

/// About the instruction's keyword or one of its flags.
fn instruction(text: &Text, offset: usize) -> Option<(String, (usize, usize))> {
    let at = offset.checked_sub(text.mark())?;
    let parsed = parse_fragment(text.text.as_bytes(), "");
    let holder =
        parsed.dockerfile.instructions.iter().find(|i| i.span.start.offset <= at && at <= i.span.end.offset)?;
    let trigger: Option<&Instruction> = match &holder.kind {
        Kind::Onbuild(trigger) if trigger.span.start.offset <= at => Some(trigger),
        _ => None,
    };
    let instruction = trigger.unwrap_or(holder);
    let help = help::find(instruction.name())?;
    let shifted = |s: usize, e: usize| (s + text.mark(), e + text.mark());
    let keyword = instruction.keyword.span;
    if keyword.start.offset <= at && at <= keyword.end.offset {
        let words = format!("```dockerfile\n{}\n```\n\n{}", help.form, help.text);
        return Some((words, shifted(keyword.start.offset, keyword.end.offset)));
    }
    let flag = instruction.flags.iter().find(|f| f.span.start.offset <= at && at <= f.span.end.offset)?;
    let (name, words) = help.flags.iter().find(|(n, _)| n.trim_end_matches('=') == flag.name.value)?;
    Some((format!("**--{name}** {words}"), shifted(flag.span.start.offset, flag.span.end.offset)))
}
