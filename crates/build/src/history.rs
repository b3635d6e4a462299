//! What `history` shows of an instruction, in docker's wording.

use stockade_image::History;

/// Mark of the builder, where BuildKit writes `buildkit.dockerfile.v0`.
const COMMENT: &str = "stockade.dockerfile.v0";

/// Entry of an instruction with a layer.
pub(crate) fn layer(created_by: String, created: &str) -> History {
    History {
        created: Some(created.to_owned()),
        created_by: Some(format!("{created_by} # stockade")),
        comment: Some(COMMENT.to_owned()),
        ..History::default()
    }
}

/// Entry of an instruction without one; its time is filled in at the end.
pub(crate) fn empty(created_by: String) -> History {
    History { created_by: Some(created_by), comment: Some(COMMENT.to_owned()), empty_layer: true, ..History::default() }
}

/// Whether an entry is ours and still without a time.
pub(crate) fn is_pending(entry: &History) -> bool {
    entry.created.is_none() && entry.comment.as_deref() == Some(COMMENT)
}

/// A list of words as Go prints one with `%q`: `["a" "b"]`.
pub(crate) fn quoted_list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

/// Arguments that a `RUN` saw: `|2 A=1 B=2 `, or nothing.
pub(crate) fn arguments(args: &[(String, String)]) -> String {
    if args.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = args.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("|{} {} ", args.len(), pairs.join(" "))
}

/// The first line of a script, for a heredoc.
pub(crate) fn summary(script: &str) -> String {
    let line = script.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    let short: String = line.chars().take(40).collect();
    if short.len() < script.trim().len() { format!("{short}...") } else { short }
}
