//! When a request is tried again, and after which pause.

use std::time::Duration;

use crate::error::{RegistryError, Result};
use crate::progress::Progress;

/// Longest pause that a server may ask for and get; what asks for more is told to the person instead.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);
/// A pause looks this often whether it is still wanted.
const SLICE: Duration = Duration::from_millis(50);

/// Whether the same request may succeed later.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::from_secs(u64::try_from(at.as_second() - now.as_second()).unwrap_or(0)))
}

/// The pause before the next try: what the server asks for, else `planned`, a little more or less so that many
/// clients do not come back at once. `None` if the server asks for too much.
pub(crate) fn pause(planned: Duration, asked: Option<Duration>) -> Option<Duration> {
    match asked {
        Some(asked) if asked > MAX_WAIT => None,
        Some(asked) => Some(asked.max(planned)),
        None => {
            let spread = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.subsec_micros() % 1000);
            Some(planned.mul_f64(0.75 + f64::from(spread) / 2000.0))
        }
    }
}

/// Waits, unless it is not wanted any more.
pub(crate) fn sleep(time: Duration, progress: &dyn Progress) -> Result<()> {
    let mut left = time;
    while !left.is_zero() {
        if progress.cancelled() {
            return Err(RegistryError::Cancelled);
        }
        let slice = left.min(SLICE);
        std::thread::sleep(slice);
        left -= slice;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: jiff::Timestamp = "1999-12-31T23:59:00Z".parse().unwrap();
        let seconds = |text| retry_after(text, now).map(|d| d.as_secs());
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("Fri, 31 Dec 1999 23:59:59 GMT"), Some(59));
        assert_eq!(seconds("Thu, 31 Dec 1998 23:59:59 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
    }

    #[test]
    fn a_server_cannot_make_us_wait_for_ever() {
        let planned = Duration::from_secs(1);
        assert_eq!(pause(planned, Some(Duration::from_secs(5))), Some(Duration::from_secs(5)));
        assert_eq!(pause(planned, Some(Duration::ZERO)), Some(planned));
        assert_eq!(pause(planned, Some(Duration::from_secs(3600))), None);
        let own = pause(planned, None).unwrap();
        assert!(own >= Duration::from_millis(750) && own <= Duration::from_millis(1250));
    }
}
