//! Sizes and times as docker shows them, and as people type them.

use jiff::Timestamp;

/// Decimal units with three significant digits: `117MB`, `1.24GB` (docker's go-units `HumanSize`).
pub fn size(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], 3)
}

/// Binary units with four significant digits: `1.25MiB` (docker's `BytesSize`, used by `stats`).
pub fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

fn scaled(bytes: u64, base: f64, units: &[&str], digits: i32) -> String {
    #[allow(clippy::cast_precision_loss)] // three or four digits are shown
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let before = if value >= 1.0 { value.log10().floor() as i32 + 1 } else { 1 };
    let decimals = usize::try_from((digits - before).max(0)).unwrap_or(0);
    let mut text = format!("{value:.decimals$}");
    if text.contains('.') {
        text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{text}{}", units.get(unit).unwrap_or(&""))
}

/// `About a minute`, `3 hours`, `2 weeks` (docker's `HumanDuration`).
pub fn duration(seconds: i64) -> String {
    let s = seconds.max(0);
    let (minutes, hours) = (s / 60, (s + 1800) / 3600);
    match () {
        () if s < 1 => "Less than a second".to_owned(),
        () if s == 1 => "1 second".to_owned(),
        () if s < 60 => format!("{s} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// `3 hours ago`.
pub fn ago(then: Timestamp) -> String {
    format!("{} ago", duration(Timestamp::now().as_second() - then.as_second()))
}

/// Bytes as people type them: `512`, `64k`, `1.5g`, `100MB`, `2GiB`. All units are powers of 1024, as docker's are.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let error =
        || format!("`{text}` is not a size: write a number with an optional unit b, k, m, g or t, such as 512m");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let value: f64 = number.parse().map_err(|_| error())?;
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(error()),
    };
    #[allow(clippy::cast_precision_loss)]
    let bytes = value * (1u64 << shift) as f64;
    if !bytes.is_finite() || bytes >= 9.0e18 {
        return Err(error());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
    Ok(bytes as u64)
}

/// A duration as docker and Go write it: `300ms`, `1m30s`, `1h`; a bare number is seconds. In milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is not a duration: write 500ms, 10s, 1m30s or 2h");
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1000).ok_or_else(error);
    }
    let mut rest = text;
    let mut total = 0.0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let (number, tail) = rest.split_at(digits);
        let value: f64 = number.parse().map_err(|_| error())?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        total += value
            * match unit {
                "ns" => 1e-6,
                "us" | "µs" => 1e-3,
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 6e4,
                "h" => 3.6e6,
                _ => return Err(error()),
            };
        rest = after;
    }
    if text.is_empty() || !total.is_finite() || total >= 9.0e18 {
        return Err(error());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
    Ok(total as u64)
}

/// A point in time as docker's `--since` takes it: RFC 3339, `YYYY-MM-DD[THH:MM:SS]` (UTC), Unix seconds with an optional
/// fraction, or a duration before now.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(t) = text.parse::<Timestamp>() {
        return Ok(t);
    }
    if let Ok(t) = text.parse::<jiff::civil::DateTime>().or_else(|_| text.parse::<jiff::civil::Date>().map(Into::into))
        && let Ok(time) = jiff::tz::TimeZone::UTC.to_timestamp(t)
    {
        return Ok(time);
    }
    let error = || {
        format!(
            "`{text}` is not a time: write 2026-01-31T12:00:00Z, Unix seconds, or a duration before now such as 10m"
        )
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = whole.parse::<i64>() {
        if !fraction.is_empty() && !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let nanos: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
        return Timestamp::new(seconds, nanos.parse().unwrap_or(0)).map_err(|_| error());
    }
    let ms = parse_duration_ms(text).map_err(|_| error())?;
    let ms = i64::try_from(ms).map_err(|_| error())?;
    Timestamp::now().checked_sub(jiff::SignedDuration::from_millis(ms)).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_dockers() {
        for (bytes, text) in
            [(0, "0B"), (999, "999B"), (1000, "1kB"), (117_000_000, "117MB"), (1_240_000_000, "1.24GB")]
        {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(binary_size(1_310_720), "1.25MiB");
    }

    #[test]
    fn durations_read_as_dockers() {
        for (s, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (75, "About a minute"),
            (3600, "About an hour"),
            (7200 * 2, "4 hours"),
            (86400 * 3, "3 days"),
            (86400 * 20, "2 weeks"),
        ] {
            assert_eq!(duration(s), text);
        }
    }

    #[test]
    fn typed_sizes_and_durations() {
        assert_eq!(parse_bytes("64m"), Ok(64 << 20));
        assert_eq!(parse_bytes("1.5g"), Ok(3 << 29));
        assert_eq!(parse_bytes("2GiB"), Ok(2 << 30));
        for bad in ["", "m", "-1", "1x", "1e400g", "NaN"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_duration_ms("1m30s"), Ok(90_000));
        assert_eq!(parse_duration_ms("300ms"), Ok(300));
        assert_eq!(parse_duration_ms("10"), Ok(10_000));
        for bad in ["", "s", "1x", "-3s"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn typed_times() {
        let t: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(parse_time("2026-01-31T12:00:00Z"), Ok(t));
        assert_eq!(parse_time("2026-01-31T12:00:00"), Ok(t));
        assert_eq!(parse_time("1769860800.5").unwrap().subsec_millisecond(), 500);
        assert!(parse_time("10m").unwrap() < Timestamp::now());
        assert!(parse_time("soon").is_err());
    }
}
