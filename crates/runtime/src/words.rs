//! Data to standard output, words to standard error.

use std::io::{self, IsTerminal, Write};

/// Writes to standard output.
pub(crate) fn to_stdout(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|_| "cannot write to standard output".to_owned())
}

/// Writes to standard error, where nothing can be done about an error.
pub(crate) fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A warning: one line on standard error, yellow where that is wanted (no-color.org).
pub(crate) fn warn(message: &str) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let colour = io::stderr().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
    let (on, off) = if colour { ("\u{1b}[33m", "\u{1b}[0m") } else { ("", "") };
    to_stderr(&format!("{on}warning:{off} {message}\n"));
}

/// Control characters as escapes: names and messages of others must not move the cursor or worse.
pub fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect()
    } else {
        text.to_owned()
    }
}

/// As [`printable`], for text of several lines.
pub fn printable_lines(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| line.strip_suffix('\n').map_or_else(|| printable(line), |l| printable(l) + "\n"))
        .collect()
}
