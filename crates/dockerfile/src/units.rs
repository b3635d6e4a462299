//! Durations and sizes as Go and docker write them.

/// A Go duration such as `1m30s` or `1.5h`, in nanoseconds. `None` when it is none, or negative, or too long.
pub fn parse_duration_ns(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let factor = match rest.get(..unit)? {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        rest = rest.get(unit..)?;
        total += number * factor;
    }
    // Go counts nanoseconds in an i64.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (total < 9.2e18).then_some(total.round() as u64)
}

/// A size such as `64m`, `1.5GiB` or `4096`, in bytes; units are powers of 1024 as in docker.
pub fn parse_size_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text.get(..end)?.parse().ok()?;
    let unit = text.get(end..)?.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (bytes < 9.2e18).then_some(bytes as u64)
}

/// A truth value as Go's `strconv.ParseBool` takes it.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ns) in [
            ("0", Some(0)),
            ("30s", Some(30_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("5µs", Some(5_000)),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1x", None),
            ("", None),
            ("999999999999h", None),
        ] {
            assert_eq!(parse_duration_ns(text), ns, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4096", Some(4096)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("b", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(parse_size_bytes(text), bytes, "{text}");
        }
    }
}
