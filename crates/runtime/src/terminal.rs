//! The user's terminal: raw while attached, as it was afterwards.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal in raw mode. Restored when dropped.
#[derive(Debug)]
pub struct RawTerminal {
    fd: BorrowedFd<'static>,
    before: Termios,
}

impl RawTerminal {
    /// Makes standard input raw, if it is a terminal.
    pub fn stdin() -> Option<RawTerminal> {
        let fd = rustix::stdio::stdin();
        let before = tcgetattr(fd).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(fd, OptionalActions::Now, &raw).ok()?;
        Some(RawTerminal { fd, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(self.fd, OptionalActions::Now, &self.before);
    }
}

/// Columns and rows of the user's terminal: of standard output, else of standard input; (0, 0) if neither is one.
pub fn size() -> (u16, u16) {
    [rustix::stdio::stdout(), rustix::stdio::stdin()]
        .into_iter()
        .find_map(|fd| tcgetwinsize(fd.as_fd()).ok())
        .map_or((0, 0), |size| (size.ws_col, size.ws_row))
}

/// Whether standard input is a terminal.
pub fn stdin_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}
