//! The reading side: `logs`, with `--tail`, `--since`, `--until` and `--follow`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::error::io_error;
use crate::{Engine, EngineError, clock};

/// One entry: a line or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogEntry {
    /// Text with its line break, if it had one.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// RFC 3339.
    pub time: String,
}

/// What to read of a log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only the last so many entries; `None` is all.
    pub tail: Option<usize>,
    /// Not older.
    pub since: Option<Timestamp>,
    /// Not newer.
    pub until: Option<Timestamp>,
    /// Wait for more until the container ends.
    pub follow: bool,
}

/// How long a follower sleeps when neither the file nor the container said anything.
const FOLLOW_PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Reads a container's log; `out` gets each entry and answers whether to go on.
    ///
    /// # Errors
    /// When the container does not exist or its log cannot be read. A damaged line is skipped.
    pub fn logs(
        &self,
        name: &str,
        query: &LogQuery,
        out: &mut dyn FnMut(&LogEntry) -> bool,
    ) -> Result<(), EngineError> {
        let id = self.resolve(name)?;
        let record = self.load(&id)?;
        if record.spec.host.log.none {
            return Err(EngineError::usage(format!("container {name} keeps no log (`--log-driver none`)")));
        }
        let path = self.container(&id).log();
        let mut follower = Follower::open(&path)?;
        if !backlog(&path, &mut follower, query, out)? || !query.follow {
            return Ok(());
        }
        loop {
            // Alive first, then read: what was written before the end is read before we stop.
            let alive = self.load(&id).is_ok_and(|r| r.state.status.is_live());
            let mut went_on = true;
            let mut any = false;
            follower.drain(&path, &mut |entry| {
                any = true;
                went_on = past(query.until, &entry) || out(&entry);
                went_on && !past(query.until, &entry)
            })?;
            if !went_on || !alive || query.until.is_some_and(|until| until < Timestamp::now()) {
                return Ok(());
            }
            if !any {
                std::thread::sleep(FOLLOW_PAUSE);
            }
        }
    }
}

fn past(until: Option<Timestamp>, entry: &LogEntry) -> bool {
    until.is_some_and(|until| clock::parse(&entry.time).is_some_and(|t| t > until))
}

/// What is there already. Answers whether the reader wants more.
fn backlog(
    path: &Path,
    follower: &mut Follower,
    query: &LogQuery,
    out: &mut dyn FnMut(&LogEntry) -> bool,
) -> Result<bool, EngineError> {
    let mut kept: VecDeque<LogEntry> = VecDeque::new();
    let mut go_on = true;
    let mut each = |entry: LogEntry| {
        let since = query.since.is_none_or(|since| clock::parse(&entry.time).is_some_and(|t| t >= since));
        if !since || past(query.until, &entry) {
            return true;
        }
        match query.tail {
            None => go_on = out(&entry),
            Some(limit) => {
                kept.push_back(entry);
                if kept.len() > limit {
                    kept.pop_front();
                }
            }
        }
        go_on
    };
    for old in older_files(path) {
        if let Ok(file) = File::open(&old) {
            read_entries(&mut BufReader::new(file), &mut each).map_err(io_error("read", &old))?;
        }
    }
    follower.drain(path, &mut each)?;
    for entry in &kept {
        if !out(entry) {
            return Ok(false);
        }
    }
    Ok(go_on)
}

/// Rotated files, oldest first.
fn older_files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        (1..).map(|n| super::rotated(path, n)).take_while(|p| p.exists()).take(1000).collect();
    files.reverse();
    files
}

/// Reads the current file as it grows, across rotations.
struct Follower {
    reader: Option<BufReader<File>>,
    inode: u64,
}

impl Follower {
    fn open(path: &Path) -> Result<Follower, EngineError> {
        match File::open(path) {
            Ok(file) => {
                let inode = file.metadata().map(|m| m.ino()).unwrap_or(0);
                Ok(Follower { reader: Some(BufReader::new(file)), inode })
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Follower { reader: None, inode: 0 }),
            Err(e) => Err(io_error("read", path)(e)),
        }
    }

    /// Hands out what was written since the last call.
    fn drain(&mut self, path: &Path, each: &mut dyn FnMut(LogEntry) -> bool) -> Result<(), EngineError> {
        loop {
            if let Some(reader) = &mut self.reader
                && !read_entries(reader, each).map_err(io_error("read", path))?
            {
                return Ok(());
            }
            // Rotated meanwhile: the file that we hold was read to its end, go on with the new one.
            let inode = std::fs::metadata(path).map(|m| m.ino()).unwrap_or(0);
            if inode == 0 || inode == self.inode {
                return Ok(());
            }
            *self = Follower::open(path)?;
        }
    }
}

/// Whole lines to the end; a half-written last line is left for the next call. Answers whether `each` wants more.
fn read_entries(reader: &mut BufReader<File>, each: &mut dyn FnMut(LogEntry) -> bool) -> std::io::Result<bool> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = reader.read_until(b'\n', &mut line)?;
        if n == 0 {
            return Ok(true);
        }
        if line.last() != Some(&b'\n') {
            reader.seek(SeekFrom::Current(-i64::try_from(n).unwrap_or(0)))?;
            return Ok(true);
        }
        if let Ok(entry) = serde_json::from_slice::<LogEntry>(&line)
            && !each(entry)
        {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::{LogWriter, Stream};
    use super::*;
    use crate::spec::LogOptions;

    fn collect(path: &Path, query: &LogQuery) -> Vec<String> {
        let mut lines = Vec::new();
        let mut follower = Follower::open(path).unwrap();
        backlog(path, &mut follower, query, &mut |e| {
            lines.push(e.log.trim_end().to_owned());
            true
        })
        .unwrap();
        lines
    }

    #[test]
    fn tail_and_order_hold_across_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogWriter::open(&path, LogOptions { none: false, max_bytes: 400, max_files: 4 });
        for n in 0..12 {
            log.take(Stream::Stdout, format!("{n}\n").as_bytes());
        }
        let all = collect(&path, &LogQuery::default());
        assert_eq!(all, (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(collect(&path, &LogQuery { tail: Some(2), ..LogQuery::default() }), ["10", "11"]);
        assert!(collect(&path, &LogQuery { tail: Some(0), ..LogQuery::default() }).is_empty());
        let later = Timestamp::now();
        assert!(collect(&path, &LogQuery { since: Some(later), ..LogQuery::default() }).is_empty());
        assert_eq!(collect(&path, &LogQuery { until: Some(later), ..LogQuery::default() }).len(), 12);
    }

    #[test]
    fn a_follower_goes_on_in_the_next_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogWriter::open(&path, LogOptions { none: false, max_bytes: 200, max_files: 9 });
        let mut follower = Follower::open(&path).unwrap();
        let mut seen = Vec::new();
        for n in 0..9 {
            log.take(Stream::Stdout, format!("{n}\n").as_bytes());
            follower
                .drain(&path, &mut |e| {
                    seen.push(e.log.trim_end().to_owned());
                    true
                })
                .unwrap();
        }
        assert_eq!(seen, (0..9).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
