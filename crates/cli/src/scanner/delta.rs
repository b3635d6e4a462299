//! What changed in an archive of OSV since it was read: beside each `all.zip` lies a list of records by their time of
//! change, `modified_id.csv`, newest first, and every record as a file of its own
//! (<https://google.github.io/osv.dev/data/>). Reading some hundred records replaces reading an archive of gigabytes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use super::fetch::{self, Known, Session};
use crate::failure::Failure;

/// Most records fetched one by one; beyond it the archive is faster.
const MAX_RECORDS: usize = 1000;
/// Largest record; the longest lists of versions take 3 MB.
const MAX_RECORD_BYTES: u64 = 32 << 20;
/// Longest line of the list.
const MAX_LINE_BYTES: u64 = 4096;
/// The archive may be older than the list beside it: what changed so shortly before is read again, which changes nothing.
const MARGIN_HOURS: i64 = 24;
/// Records that vanish are in no list: after so many days the archive is read whole.
const FULL_AFTER_DAYS: i64 = 30;

/// What a list says.
pub enum Delta {
    /// Nothing changed.
    Nothing,
    /// The changed records, as files of this directory, and the time until which they reach.
    Records(PathBuf, String),
    /// There is no list, or too much is in it, or the last whole reading is long ago: the archive must be read.
    Whole,
}

#[derive(Deserialize)]
struct Head {
    id: String,
    modified: Timestamp,
}

/// Where records and list lie, for the address of an archive that has them.
pub fn base(url: &str) -> Option<&str> {
    url.strip_suffix("all.zip").filter(|base| base.ends_with('/'))
}

/// The time from which on changes of an archive must be read the next time, if it were read whole now. `None` where no
/// list lies beside it.
pub fn start(base: &str) -> Result<Option<String>, Failure> {
    let Some(list) = list(base)? else { return Ok(None) };
    let mut newest = None;
    for line in lines(list) {
        let (time, _) = line.map_err(|why| bad(base, &why))?;
        newest = newest.max(Some(time));
        // Newest first: the first line would do, but a list that is not sorted must not lose anything.
        if newest != Some(time) {
            break;
        }
    }
    Ok(newest.and_then(|t| t.checked_sub(MARGIN_HOURS.hours()).ok()).map(|t| t.to_string()))
}

/// Fetches what changed since an earlier reading, into a new directory below `directory`.
pub fn fetch(base: &str, known: &Known, now: Timestamp, directory: &Path) -> Result<Delta, Failure> {
    let parse = |text: &Option<String>| text.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
    let (Some(since), Some(full)) = (parse(&known.until), parse(&known.full)) else { return Ok(Delta::Whole) };
    if full.checked_add((FULL_AFTER_DAYS * 24).hours()).map_or(true, |end| end < now) {
        return Ok(Delta::Whole);
    }
    let Some(list) = list(base)? else { return Ok(Delta::Whole) };
    let mut changed: Vec<(Timestamp, String)> = Vec::new();
    for line in lines(list) {
        let (time, id) = line.map_err(|why| bad(base, &why))?;
        if time <= since {
            break;
        }
        changed.push((time, id));
        if changed.len() > MAX_RECORDS {
            return Ok(Delta::Whole);
        }
    }
    let Some(newest) = changed.iter().map(|(time, _)| *time).max() else { return Ok(Delta::Nothing) };
    let place = directory.join(stockade_durable::temporary_name());
    std::fs::create_dir(&place).map_err(|e| Failure::new(format!("cannot make `{}`: {e}", place.display())))?;
    if let Err(failure) = records(base, &changed, &place) {
        let _ = std::fs::remove_dir_all(&place);
        return Err(failure);
    }
    Ok(Delta::Records(place, newest.to_string()))
}

fn records(base: &str, changed: &[(Timestamp, String)], place: &Path) -> Result<(), Failure> {
    let session = Session::new(base);
    for (index, (time, id)) in changed.iter().enumerate() {
        let url = format!("{base}{}.json", encoded(id));
        let failed = |why: String| Failure::new(format!("cannot fetch `{url}`: {why}; nothing was changed"));
        let reader = session.get(&url)?.ok_or_else(|| failed("the list names it, but it is not there".to_owned()))?;
        let mut bytes = Vec::new();
        reader.take(MAX_RECORD_BYTES + 1).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
        if bytes.len() as u64 > MAX_RECORD_BYTES {
            return Err(failed("it is larger than 32 MiB".to_owned()));
        }
        let head: Head = serde_json::from_slice(&bytes).map_err(|e| failed(format!("not an OSV record: {e}")))?;
        let name = id.rsplit('/').next().unwrap_or_default();
        if head.id != name {
            return Err(failed(format!("it is the record `{}`", head.id)));
        }
        if head.modified < *time {
            return Err(failed(format!("it is of {}, the list promises {time}", head.modified)));
        }
        std::fs::write(place.join(format!("{index}.json")), bytes).map_err(|e| failed(e.to_string()))?;
    }
    Ok(())
}

fn list(base: &str) -> Result<Option<Box<dyn Read>>, Failure> {
    fetch::Session::new(base).get(&format!("{base}modified_id.csv"))
}

fn bad(base: &str, why: &str) -> Failure {
    Failure::new(format!("`{base}modified_id.csv` is no list of changes: {why}; nothing was changed"))
}

/// The lines of a list: time and id, which is `ECOSYSTEM/ID` in the list of everything.
fn lines(list: impl Read) -> impl Iterator<Item = Result<(Timestamp, String), String>> {
    let mut reader = BufReader::new(list);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(line_of(&line)),
            Err(e) => Some(Err(e.to_string())),
        }
    })
}

fn line_of(line: &[u8]) -> Result<(Timestamp, String), String> {
    let shown = || String::from_utf8_lossy(line.get(..line.len().min(80)).unwrap_or_default()).trim().to_owned();
    let text = std::str::from_utf8(line).map_err(|_| format!("`{}` is no text", shown()))?;
    let (time, id) = text.trim().split_once(',').ok_or_else(|| format!("`{}` is not TIME,ID", shown()))?;
    let time: Timestamp = time.parse().map_err(|_| format!("`{}` does not begin with a time", shown()))?;
    let fine = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b' '))
    };
    if id.split('/').count() > 2 || !id.split('/').all(fine) {
        return Err(format!("`{}` has no id that a record could have", shown()));
    }
    Ok((time, id.to_owned()))
}

fn encoded(id: &str) -> String {
    id.replace(' ', "%20").replace(':', "%3A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_ids_that_lead_elsewhere_refused() {
        let text = "2026-11-20T01:02:03.5Z,GHSA-1\n2026-11-19T00:00:00Z,Red Hat/RHSA-2026:1\n";
        let read: Vec<(Timestamp, String)> = lines(text.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read[0].1, "GHSA-1");
        assert_eq!(encoded(&read[1].1), "Red%20Hat/RHSA-2026%3A1");
        assert!(read[0].0 > read[1].0);
        for bad in [
            "x",
            "today,GHSA-1",
            "2026-11-20T01:02:03Z,",
            "2026-11-20T01:02:03Z,../x",
            "2026-11-20T01:02:03Z,a/b/c",
            "2026-11-20T01:02:03Z,a?b",
            "2026-11-20T01:02:03Z,.x",
        ] {
            assert!(line_of(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(base("https://x/npm/all.zip"), Some("https://x/npm/"));
        assert_eq!(base("https://x/npm/overall.zip"), None);
    }

    #[test]
    fn an_old_reading_is_made_anew() {
        let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let known = |until: &str, full: &str| Known {
            until: Some(until.to_owned()),
            full: Some(full.to_owned()),
            ..Known::default()
        };
        let nowhere = Path::new("/nonexistent");
        for known in [known("2026-11-23T00:00:00Z", "2026-10-01T00:00:00Z"), Known::default(), known("x", "y")] {
            assert!(matches!(fetch("http://127.0.0.1:1/", &known, now, nowhere), Ok(Delta::Whole)));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_list_is_read_or_refused(bytes: Vec<u8>) {
            let _ = lines(bytes.as_slice()).take(100).count();
        }
    }
}
