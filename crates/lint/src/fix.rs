//! Applying the edits of findings.

use crate::model::{Edit, Finding};

/// The text with the fixes of all findings applied that do not overlap; the earlier one in the file wins. Returns the new
/// text and how many findings were mended. A byte order mark, which places do not count, is kept.
pub fn apply(text: &str, findings: &[Finding]) -> (String, usize) {
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        let (mended, count) = apply(rest, findings);
        return (format!("\u{feff}{mended}"), count);
    }
    let mut fixes: Vec<&[Edit]> = findings.iter().filter_map(|f| f.fix.as_deref()).filter(|f| !f.is_empty()).collect();
    fixes.sort_by_key(|edits| edits.iter().map(|e| e.start).min());
    let mut taken: Vec<&Edit> = Vec::new();
    let mut mended = 0;
    for edits in fixes {
        let free = |e: &Edit| {
            e.start <= e.end
                && text.is_char_boundary(e.start)
                && text.is_char_boundary(e.end)
                && taken.iter().all(|t| {
                    e.end <= t.start && e.start < t.start || e.start >= t.end && (e.start > t.start || e.end > t.end)
                })
        };
        // An edit that is already taken word for word (two rules, one cure) is not in the way.
        let new: Vec<&Edit> = edits.iter().filter(|e| !taken.contains(e)).collect();
        if new.iter().all(|e| free(e)) {
            taken.extend(new);
            mended += 1;
        }
    }
    taken.sort_by_key(|e| e.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in taken {
        out.push_str(text.get(at..edit.start).unwrap_or(""));
        out.push_str(&edit.text);
        at = edit.end;
    }
    out.push_str(text.get(at..).unwrap_or(""));
    (out, mended)
}
