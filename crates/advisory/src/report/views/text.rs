//! Plain text: columns, colours, and names from images that must not drive the terminal.

use crate::severity::Severity;

/// Names come from images: control characters are shown, not obeyed.
pub(super) fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect()
    } else {
        text.to_owned()
    }
}

/// At most `width` characters, the last one `…` when something was cut.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// `1 finding`, `2 findings`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `2 critical, 5 high, 16 of unknown severity`.
pub(super) fn by_severity(severities: impl Iterator<Item = Severity>) -> String {
    let mut counts = [0usize; Severity::ALL.len()];
    for severity in severities {
        for (slot, known) in counts.iter_mut().zip(Severity::ALL) {
            *slot += usize::from(known == severity);
        }
    }
    let parts = counts.iter().zip(Severity::ALL).filter(|(n, _)| **n > 0).map(|(n, severity)| match severity {
        Severity::Unknown => format!("{n} of unknown severity"),
        other => format!("{n} {other}"),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Escape codes, where wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub bool);

impl Paint {
    fn code(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    pub(super) fn warn(self, text: &str) -> String {
        self.code("33", text)
    }

    /// A severity's colour over text that is already padded.
    pub(super) fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Critical => "1;31",
            Severity::High => "31",
            Severity::Medium => "33",
            Severity::Low | Severity::Negligible => "2",
            Severity::Unknown => "36",
        };
        self.code(code, text)
    }
}

/// Rows in columns two spaces apart; the last column is not padded. Output: the padded cells of each row.
pub(super) fn columns(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0))
        .collect();
    rows.iter()
        .map(|row| {
            let last = row.len().saturating_sub(1);
            row.iter()
                .zip(&widths)
                .enumerate()
                .map(|(i, (cell, width))| if i == last { cell.clone() } else { format!("{cell:<width$}  ") })
                .collect()
        })
        .collect()
}
