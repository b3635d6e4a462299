//! Time stamps as docker writes them: RFC 3339 in UTC with nanoseconds.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// Docker's "never": the zero time of Go.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, for a record.
pub fn now() -> String {
    format(Timestamp::now())
}

/// `2026-01-02T03:04:05.123456789Z`
pub fn format(time: Timestamp) -> String {
    let mut text = String::with_capacity(30);
    // Fixed width, so that texts sort as times do.
    if DateTimePrinter::new().precision(Some(9)).print_timestamp(&time, &mut text).is_err() {
        return NEVER.to_owned();
    }
    text
}

/// Reads a record's time; `None` for [`NEVER`] and for what is no time.
pub fn parse(text: &str) -> Option<Timestamp> {
    if text.is_empty() || text == NEVER { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_fixed_width_and_read_back() {
        let time = Timestamp::new(1_700_000_000, 5).unwrap();
        let text = format(time);
        assert_eq!(text, "2023-11-14T22:13:20.000000005Z");
        assert_eq!(parse(&text), Some(time));
        assert_eq!(parse(NEVER), None);
    }
}
