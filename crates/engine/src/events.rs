//! What happened: an append-only file of JSON lines in docker's shape.
//!
//! One `write(2)` with `O_APPEND` for each event, so that writers need no lock. The file is turned over at
//! [`MAX_BYTES`]; one older file is kept.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stockade_durable::Lock;

use crate::error::io_error;
use crate::record::Record;
use crate::{Engine, EngineError};

/// Size at which the file is turned over, in bytes.
const MAX_BYTES: u64 = 8 << 20;
/// How long a reader sleeps when nothing happens.
const PAUSE: Duration = Duration::from_millis(100);

/// One event, docker's field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Same as `action`, for containers.
    #[serde(default)]
    pub status: String,
    /// Container id.
    #[serde(default)]
    pub id: String,
    /// Image.
    #[serde(default)]
    pub from: String,
    /// `container`, `volume`, `image`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `create`, `start`, `die`, `destroy`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// Whom it happened to.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// `local`
    pub scope: String,
    /// Unix seconds.
    pub time: i64,
    /// Unix nanoseconds.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// Whom an event happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Full id.
    #[serde(rename = "ID")]
    pub id: String,
    /// `name`, `image`, the labels, and what the action adds (`exitCode`, `signal`).
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

fn dir(root: &Path) -> PathBuf {
    root.join("events")
}

fn file(root: &Path) -> PathBuf {
    dir(root).join("log")
}

/// Records what happened to a container. Never fails: an event that cannot be written is lost, the verb goes on.
pub(crate) fn emit(root: &Path, spec: &crate::spec::Spec, name: &str, action: &str, extra: &[(&str, String)]) {
    let mut attributes = spec.labels.clone();
    attributes.insert("image".into(), spec.image_name.clone());
    attributes.insert("name".into(), name.to_owned());
    attributes.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    emit_for(root, "container", &spec.id, &spec.image_name, action, attributes);
}

/// Records what happened to anything.
pub(crate) fn emit_for(
    root: &Path,
    kind: &str,
    id: &str,
    from: &str,
    action: &str,
    attributes: BTreeMap<String, String>,
) {
    let now = Timestamp::now();
    let container = kind == "container";
    let event = Event {
        status: if container { action.to_owned() } else { String::new() },
        id: if container { id.to_owned() } else { String::new() },
        from: from.to_owned(),
        kind: kind.to_owned(),
        action: action.to_owned(),
        actor: Actor { id: id.to_owned(), attributes },
        scope: "local".to_owned(),
        time: now.as_second(),
        time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
    };
    let _ = append(root, &event);
}

fn append(root: &Path, event: &Event) -> std::io::Result<()> {
    let path = file(root);
    let mut line = serde_json::to_vec(event).map_err(std::io::Error::other)?;
    line.push(b'\n');
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let mut log = match open() {
        Ok(log) => log,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(dir(root))?;
            open()?
        }
        Err(e) => return Err(e),
    };
    log.write_all(&line)?;
    if log.metadata()?.len() > MAX_BYTES
        && let Ok(Some(_lock)) = Lock::try_exclusive(&dir(root).join("lock"))
        && fs::metadata(&path)?.len() > MAX_BYTES
    {
        fs::rename(&path, path.with_extension("1"))?;
    }
    Ok(())
}

impl Engine {
    /// Reads events since `since` (those on disk) until `until`; without `until` waits for more for ever.
    /// `out` answers whether to go on. A damaged line is skipped.
    pub fn events(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        out: &mut dyn FnMut(&Event) -> bool,
    ) -> Result<(), EngineError> {
        let path = file(self.root());
        let wanted = |e: &Event| {
            let time = Timestamp::from_nanosecond(i128::from(e.time_nano)).ok();
            since.is_none_or(|s| time.is_some_and(|t| t >= s)) && until.is_none_or(|u| time.is_some_and(|t| t <= u))
        };
        if since.is_some()
            && let Ok(old) = File::open(path.with_extension("1"))
            && !read(&mut BufReader::new(old), &mut |e| !wanted(e) || out(e)).map_err(io_error("read", &path))?
        {
            return Ok(());
        }
        let mut reader: Option<(BufReader<File>, u64)> = None;
        let mut first = true;
        loop {
            let over = until.is_some_and(|u| u <= Timestamp::now());
            if let Some((open, _)) = &mut reader
                && !read(open, &mut |e| !wanted(e) || out(e)).map_err(io_error("read", &path))?
            {
                return Ok(());
            }
            let inode = fs::metadata(&path).map(|m| m.ino()).unwrap_or(0);
            if inode != 0 && reader.as_ref().is_none_or(|(_, held)| *held != inode) {
                let mut fresh = File::open(&path).map_err(io_error("read", &path))?;
                // Without `--since` only what happens from now on is told.
                if first && since.is_none() {
                    fresh.seek(SeekFrom::End(0)).map_err(io_error("read", &path))?;
                }
                reader = Some((BufReader::new(fresh), inode));
                first = false;
                continue;
            }
            first = false;
            if over {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Records an event of a container for a verb.
    pub(crate) fn emit(&self, record: &Record, action: &str, extra: &[(&str, String)]) {
        emit(self.root(), &record.spec, &record.name, action, extra);
    }
}

fn read(reader: &mut BufReader<File>, each: &mut dyn FnMut(&Event) -> bool) -> std::io::Result<bool> {
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
        if let Ok(event) = serde_json::from_slice::<Event>(&line)
            && !each(&event)
        {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_back_in_order_and_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::at(dir.path(), dir.path());
        let before = Timestamp::now();
        for action in ["create", "start", "die"] {
            emit_for(dir.path(), "container", "abc", "img", action, BTreeMap::new());
        }
        let mut seen = Vec::new();
        let mut read = |since, until| {
            seen.clear();
            engine
                .events(since, until, &mut |e| {
                    seen.push(e.action.clone());
                    true
                })
                .unwrap();
            seen.join(",")
        };
        assert_eq!(read(Some(before), Some(Timestamp::now())), "create,start,die");
        assert_eq!(read(Some(Timestamp::now()), Some(Timestamp::now())), "");
    }
}
