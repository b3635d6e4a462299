//! The writing side, inside the monitor: small, never failing the container.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::spec::LogOptions;

/// Longest part of a line in one entry, in bytes (docker's number). The rest follows in the next entry.
const MAX_LINE: usize = 16 << 10;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Appends output to the log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    options: LogOptions,
    file: Option<File>,
    written: u64,
    /// Lines not yet ended, by stream.
    partial: [Vec<u8>; 2],
    /// Entries of one call, written at once.
    batch: Vec<u8>,
}

impl LogWriter {
    /// Continues the log at `path`.
    pub fn open(path: &Path, options: LogOptions) -> LogWriter {
        let mut writer = LogWriter {
            path: path.to_owned(),
            options,
            file: None,
            written: 0,
            partial: [Vec::new(), Vec::new()],
            batch: Vec::new(),
        };
        if !options.none {
            writer.reopen();
        }
        writer
    }

    fn reopen(&mut self) {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path).ok();
        self.written = file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
        self.file = file;
    }

    /// Takes what a stream wrote. Whole lines reach the disk at once.
    pub fn take(&mut self, stream: Stream, bytes: &[u8]) {
        if self.options.none {
            return;
        }
        let mut partial = std::mem::take(self.partial_of(stream));
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = MAX_LINE.saturating_sub(partial.len()).max(1);
            let line_end = rest.iter().take(room).position(|b| *b == b'\n').map(|n| n + 1);
            let (head, tail) = rest.split_at(line_end.unwrap_or(room.min(rest.len())));
            rest = tail;
            if line_end.is_none() && partial.len() + head.len() < MAX_LINE {
                partial.extend_from_slice(head);
                continue;
            }
            if partial.is_empty() {
                self.entry(stream, head);
            } else {
                partial.extend_from_slice(head);
                self.entry(stream, &partial);
                partial.clear();
            }
        }
        *self.partial_of(stream) = partial;
        self.flush();
    }

    /// Writes what no line break ended. At the end of the container.
    pub fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(self.partial_of(stream));
            if !partial.is_empty() {
                self.entry(stream, &partial);
            }
        }
        self.flush();
    }

    fn partial_of(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [stdout, stderr] = &mut self.partial;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    fn entry(&mut self, stream: Stream, line: &[u8]) {
        self.batch.extend_from_slice(b"{\"log\":\"");
        escape(&mut self.batch, line);
        self.batch.extend_from_slice(match stream {
            Stream::Stdout => b"\",\"stream\":\"stdout\",\"time\":\"",
            Stream::Stderr => b"\",\"stream\":\"stderr\",\"time\":\"",
        });
        self.batch.extend_from_slice(clock::now().as_bytes());
        self.batch.extend_from_slice(b"\"}\n");
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.written > 0 && self.written + self.batch.len() as u64 > self.options.max_bytes {
            self.rotate();
        }
        // A full disk must not stop the container: what cannot be kept is lost, as with any log.
        if let Some(file) = &mut self.file
            && file.write_all(&self.batch).is_ok()
        {
            self.written += self.batch.len() as u64;
        }
        self.batch.clear();
        self.batch.shrink_to(2 * MAX_LINE);
    }

    fn rotate(&mut self) {
        let files = self.options.max_files.max(1);
        self.file = None;
        if files == 1 {
            let _ = fs::remove_file(&self.path);
        }
        for number in (1..files).rev() {
            let _ = fs::rename(super::rotated(&self.path, number - 1), super::rotated(&self.path, number));
        }
        self.reopen();
    }
}

/// Appends `bytes` as the inside of a JSON string. What is no UTF-8 becomes U+FFFD, as docker writes it.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<(String, String)> {
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
            .map(|v| (v["stream"].as_str().unwrap().to_owned(), v["log"].as_str().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn lines_are_whole_however_they_came_and_the_last_needs_no_break() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogWriter::open(&path, LogOptions::default());
        log.take(Stream::Stdout, b"one\ntw");
        log.take(Stream::Stderr, b"err\n");
        log.take(Stream::Stdout, b"o\nthree");
        log.finish();
        let expected = [("stdout", "one\n"), ("stderr", "err\n"), ("stdout", "two\n"), ("stdout", "three")];
        assert_eq!(lines(&path), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn endless_lines_are_cut_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogWriter::open(&path, LogOptions::default());
        let text = vec![b'x'; MAX_LINE * 2 + 5];
        for chunk in text.chunks(1000) {
            log.take(Stream::Stdout, chunk);
        }
        log.finish();
        let seen = lines(&path);
        assert!(seen.iter().all(|(_, l)| l.len() <= MAX_LINE));
        assert_eq!(seen.iter().map(|(_, l)| l.len()).sum::<usize>(), text.len());
    }

    #[test]
    fn rotation_keeps_the_newest_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogWriter::open(&path, LogOptions { none: false, max_bytes: 200, max_files: 3 });
        for n in 0..20 {
            log.take(Stream::Stdout, format!("line {n}\n").as_bytes());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        assert_eq!(lines(&path).last().unwrap().1, "line 19\n");
        assert!(fs::metadata(&path).unwrap().len() <= 200);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_make_valid_json(bytes: Vec<u8>) {
            let mut out = b"\"".to_vec();
            escape(&mut out, &bytes);
            out.push(b'"');
            let text: String = serde_json::from_slice(&out).unwrap();
            proptest::prop_assert_eq!(text, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
