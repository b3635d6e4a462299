//! Data to stdout, words to stderr; colour where it is wanted; tables.

use std::io::{self, IsTerminal, Write};

use unicode_width::UnicodeWidthStr;

/// Text from images may hold escape codes that would drive the terminal: control characters are shown, not obeyed.
pub use stockade_runtime::words::{printable, printable_lines};

use crate::failure::Failure;

/// Writes to stdout. A reader that went away is a failure that nobody is told of (see `Failure::is_broken_pipe`).
pub fn to_stdout(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes to stderr, where nothing can be done about an error.
pub fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A warning: one line on stderr.
pub fn warn(message: &str) {
    to_stderr(&format!("{} {message}\n", Style::stderr().yellow("warning:")));
}

/// Serialises pretty JSON with a final line break to stdout.
pub fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    to_stdout(&text)
}

/// Colour, if the stream is a terminal and `NO_COLOR` (no-color.org) is not set.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    on: bool,
}

impl Style {
    /// For stdout.
    pub fn stdout() -> Style {
        Style { on: wanted(io::stdout().is_terminal()) }
    }

    /// Never any.
    pub fn plain() -> Style {
        Style { on: false }
    }

    /// For stderr.
    pub fn stderr() -> Style {
        Style { on: wanted(io::stderr().is_terminal()) }
    }

    /// Whether colour is used.
    pub fn is_on(self) -> bool {
        self.on
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Bold red.
    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Yellow.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Green.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bold.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Faint.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
}

fn wanted(terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Width of the terminal on stdout in columns; `None` when stdout is not a terminal (tables are then not cut).
pub fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|w| *w > 0)
}

/// A table as docker prints it: upper-case headers, columns three spaces apart.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    shrink: Option<usize>,
}

impl Table {
    /// With a header row.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Table {
        Table { rows: vec![header.into_iter().map(Into::into).collect()], shrink: None }
    }

    /// The column (from 0) that is cut when the table is wider than the terminal.
    #[must_use]
    pub fn shrink(mut self, column: usize) -> Table {
        self.shrink = Some(column);
        self
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|c| printable(&c.into())).collect());
    }

    /// The text, at most `width` columns wide if a column may shrink.
    pub fn render(&self, width: Option<usize>) -> String {
        const GAP: usize = 3;
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().filter_map(|r| r.get(c)).map(|s| s.width()).max().unwrap_or(0))
            .collect();
        if let (Some(limit), Some(column)) = (width, self.shrink) {
            let total: usize = widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1);
            if let Some(w) = widths.get_mut(column) {
                *w = w.saturating_sub(total.saturating_sub(limit)).max(8);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, &w) in row.iter().zip(&widths) {
                let cell = cut(cell, w);
                line.push_str(&cell);
                line.extend(std::iter::repeat_n(' ', (w + GAP).saturating_sub(cell.width())));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Prints it.
    pub fn print(&self) -> Result<(), Failure> {
        to_stdout(&self.render(terminal_width()))
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) + 1 > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// What a container wrote, for a terminal: colours, tabs and line ends are obeyed, everything else that would drive it is
/// shown. A terminal's other sequences move the cursor over what was printed before, set titles, answer as if typed, or
/// write files (xterm's control sequences; CVE-2003-0063, CVE-2021-25743). Bytes that are no UTF-8 are kept, but for those
/// that 8-bit terminals take as controls.
pub fn harmless(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(c) = rest.chars().next() {
            let obeyed = colour(rest).or(matches!(c, '\n' | '\r' | '\t').then_some(1));
            let (one, after) = rest.split_at_checked(obeyed.unwrap_or(c.len_utf8())).unwrap_or((rest, ""));
            if obeyed.is_none() && c.is_control() {
                out.extend(c.escape_default().to_string().bytes());
            } else {
                out.extend_from_slice(one.as_bytes());
            }
            rest = after;
        }
        for byte in chunk.invalid() {
            match byte {
                0x80..=0x9f => out.extend(byte.escape_ascii()),
                _ => out.push(*byte),
            }
        }
    }
    out
}

/// Length of the colour sequence (`ESC [ numbers m`, ECMA-48 SGR) that a text begins with.
fn colour(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':'))?;
    rest.get(end..)?.starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_shrinkable_one_is_cut() {
        let mut table = Table::new(["NAME", "COMMAND", "ID"]).shrink(1);
        table.row(["web", "\"apache2ctl -D FOREGROUND\"", "abc"]);
        assert_eq!(
            table.render(None),
            "NAME   COMMAND                      ID\nweb    \"apache2ctl -D FOREGROUND\"   abc\n"
        );
        let narrow = table.render(Some(30));
        assert!(narrow.lines().all(|l| l.width() <= 30), "{narrow}");
        assert!(narrow.contains('…'));
    }

    #[test]
    fn colours_are_obeyed_and_the_rest_is_shown() {
        for (written, shown) in [
            ("\x1b[31mred\x1b[0m \x1b[38;2;1;2;3mx\n", "\x1b[31mred\x1b[0m \x1b[38;2;1;2;3mx\n"),
            ("a\tb\r\n", "a\tb\r\n"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\x1b[2J\x1b[1A\x1b[6n", "\\u{1b}[2J\\u{1b}[1A\\u{1b}[6n"),
            ("\x1b[31", "\\u{1b}[31"),
            ("\u{9b}2J \u{85} \x7f \x08", "\\u{9b}2J \\u{85} \\u{7f} \\u{8}"),
            ("grün – 日本", "grün – 日本"),
        ] {
            assert_eq!(String::from_utf8(harmless(written.as_bytes())).unwrap(), shown);
        }
        assert_eq!(harmless(b"\xff\x9b2J\xe4"), b"\xff\\x9b2J\xe4");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_drive_a_terminal(bytes: Vec<u8>) {
            let out = String::from_utf8_lossy(&harmless(&bytes)).into_owned();
            let mut rest = out.as_str();
            while let Some(at) = rest.find('\x1b') {
                rest = &rest[at..];
                let length = colour(rest).unwrap_or(0);
                proptest::prop_assert!(length > 0, "{out:?}");
                rest = &rest[length..];
            }
        }
    }

    #[test]
    fn escape_codes_in_cells_are_shown() {
        let mut table = Table::new(["NAME"]);
        table.row(["\u{1b}[2Jx"]);
        assert!(!table.render(None).contains('\u{1b}'));
    }
}
