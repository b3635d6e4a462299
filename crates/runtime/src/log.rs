//! Errors and warnings, on standard error and in the file that the caller reads (`--log`), in logrus's two formats.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use crate::args::Global;

/// Where words go.
#[derive(Debug)]
pub struct Log {
    file: Option<PathBuf>,
    json: bool,
}

impl Log {
    pub(super) fn new(global: &Global) -> Self {
        Self { file: global.log.clone(), json: global.log_format == "json" }
    }

    /// Why the command failed.
    pub fn error(&self, text: &str) {
        self.write("error", text);
        crate::words::to_stderr(&format!("error: {}\n", crate::words::printable(text)));
    }

    /// What somebody should know about a command that did not fail.
    pub fn warning(&self, text: &str) {
        self.write("warning", text);
        if self.file.is_none() {
            crate::words::warn(text);
        }
    }

    fn write(&self, level: &str, text: &str) {
        let Some(path) = &self.file else { return };
        let time = jiff::Timestamp::now().to_string();
        let line = if self.json {
            serde_json::json!({ "level": level, "msg": text, "time": time }).to_string()
        } else {
            format!("time={time:?} level={level} msg={text:?}")
        };
        // A log that cannot be written must not change what the command does; standard error has it too.
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
            let _ = writeln!(file, "{line}");
        }
    }
}
