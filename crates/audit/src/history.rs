//! Reports that were kept, so that a score can be followed and a later audit can show what changed since.
//!
//! One file a report, `<unix time>.json`, in a directory of Stockade's state. Only an audit that is asked to keeps one.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::Report;

/// Reports that are kept; older ones are removed.
const KEPT: usize = 200;
/// Largest report that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Why there is no report to compare with.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Nothing was kept so early.
    #[error("no kept report is from {when} or earlier; `stockade audit --record` keeps one")]
    None {
        /// What was asked for.
        when: String,
    },
    /// The words are no time.
    #[error("`{text}` is no time: use `last`, an age such as 7d or 12h, or a date such as 2026-11-24")]
    When {
        /// What was given.
        text: String,
    },
    /// A file could not be read or written.
    #[error("cannot use kept reports in `{dir}`")]
    File {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] stockade_durable::DurableError),
    /// A kept report is no JSON.
    #[error("the kept report `{path}` is damaged; delete it")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Keeps a report. `now` is in seconds since 1970.
pub fn record(dir: &Path, report: &Report, now: i64) -> Result<PathBuf, HistoryError> {
    stockade_durable::create_private_dir(dir)?;
    let path = dir.join(format!("{now}.json"));
    let bytes = serde_json::to_vec(report).map_err(|source| HistoryError::Damaged { path: path.clone(), source })?;
    stockade_durable::write(&path, &bytes, 0o600)?;
    let mut times = times(dir)?;
    let surplus = times.len().saturating_sub(KEPT);
    for old in times.drain(..surplus) {
        // A report more or less does no harm; the next audit tries again.
        let _ = std::fs::remove_file(dir.join(format!("{old}.json")));
    }
    Ok(path)
}

/// The newest report that is at least as old as `when` says: `last`, an age (`30m`, `12h`, `7d`, `4w`) or a date.
pub fn since(dir: &Path, when: &str, now: i64) -> Result<Value, HistoryError> {
    let limit = moment(when, now)?;
    let time = times(dir)?.into_iter().rfind(|t| *t <= limit);
    let time = time.ok_or_else(|| HistoryError::None { when: when.to_owned() })?;
    let path = dir.join(format!("{time}.json"));
    let file = std::fs::File::open(&path).map_err(|source| HistoryError::File { dir: dir.to_owned(), source })?;
    let reader = std::io::BufReader::new(std::io::Read::take(file, MAX_BYTES));
    serde_json::from_reader(reader).map_err(|source| HistoryError::Damaged { path, source })
}

fn moment(when: &str, now: i64) -> Result<i64, HistoryError> {
    let bad = || HistoryError::When { text: when.to_owned() };
    if when == "last" {
        return Ok(i64::MAX);
    }
    if let Ok(time) = when.parse::<jiff::Timestamp>() {
        return Ok(time.as_second());
    }
    if let Ok(date) = when.parse::<jiff::civil::Date>() {
        // The whole day counts: a report of that day is "since that day".
        let end: jiff::Timestamp = format!("{date}T23:59:59Z").parse().map_err(|_| bad())?;
        return Ok(end.as_second());
    }
    let (digits, unit) = when.split_at(when.len() - when.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        "w" => 7 * 86400,
        _ => return Err(bad()),
    };
    let count: i64 = digits.parse().map_err(|_| bad())?;
    count.checked_mul(seconds).and_then(|age| now.checked_sub(age)).ok_or_else(bad)
}

/// Times of the kept reports, oldest first.
fn times(dir: &Path) -> Result<Vec<i64>, HistoryError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(HistoryError::File { dir: dir.to_owned(), source }),
    };
    let mut times: Vec<i64> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.strip_suffix(".json")?.parse().ok()).collect();
    times.sort_unstable();
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_report_that_is_old_enough_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let now = 1_800_000_000;
        for (age, name) in [(0, "new"), (3 * 86400, "three days"), (10 * 86400, "ten days")] {
            let mut report = Report::new(Vec::new());
            report.score = u8::try_from(name.len()).ok();
            record(dir.path(), &report, now - age).unwrap();
        }
        let score = |when: &str| since(dir.path(), when, now).map(|v| v["score"].as_u64().unwrap());
        assert_eq!(score("last").unwrap(), 3);
        assert_eq!(score("1d").unwrap(), 10);
        assert_eq!(score("1w").unwrap(), 8);
        assert_eq!(score("2027-01-12").unwrap(), 10);
        assert!(matches!(score("9w"), Err(HistoryError::None { .. })));
        for bad in ["", "d", "yesterday", "999999999999999999w", "ü"] {
            assert!(matches!(score(bad), Err(HistoryError::When { .. })), "{bad}");
        }
    }
}
