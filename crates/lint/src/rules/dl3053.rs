//! `label-not-a-date`

use super::{Rule, Severity, labels};
use crate::options::LabelType;

pub(super) static RULE: Rule = Rule {
    id: "label-not-a-date",
    refs: &["DL3053"],
    severity: Severity::Warning,
    default: true,
    finds: "A label that must be a time of RFC 3339 and is none.",
    why: "Tools that read labels expect one.",
    instead: "Write 2026-01-31T12:00:00Z.",
    bad: &["FROM a:1\nLABEL date=yesterday\n", "FROM a:1\nLABEL date=2026-13-01T00:00:00Z\n"],
    good: &["FROM a:1\nLABEL date=2026-01-31T12:00:00Z\n", "FROM a:1\nLABEL date=2026-01-31T12:00:00.5+01:00\n"],
    test: |file, out| labels::of_type(file, out, LabelType::Rfc3339, "no time of RFC 3339", is_time),
};

fn is_time(text: &str) -> bool {
    let number = |from: usize, len: usize, max: u32| text.get(from..from + len).and_then(|d| d.parse::<u32>().ok()).is_some_and(|n| n <= max);
    let byte = |at: usize| text.as_bytes().get(at).copied();
    let date = number(0, 4, 9999) && byte(4) == Some(b'-') && number(5, 2, 12) && byte(7) == Some(b'-') && number(8, 2, 31);
    let time = matches!(byte(10), Some(b'T' | b't' | b' ')) && number(11, 2, 23) && byte(13) == Some(b':') && number(14, 2, 59) && byte(16) == Some(b':') && number(17, 2, 60);
    let mut rest = text.get(19..).unwrap_or("");
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let zone = rest.eq_ignore_ascii_case("z") || (rest.len() == 6 && rest.starts_with(['+', '-']) && rest.as_bytes().get(3) == Some(&b':'));
    date && time && zone
}
