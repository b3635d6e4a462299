//! Handing a terminal to whoever asked for it: over a unix socket (`--console-socket`).

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::{OciError, Result};

/// Sends the master side, with its name as the message, as runc does.
pub(crate) fn send(socket: &Path, master: BorrowedFd<'_>) -> Result<()> {
    let stream = UnixStream::connect(socket).map_err(OciError::io("connect to the console socket", socket))?;
    stockade_sandbox::process::send_fds(stream.as_fd(), b"/dev/ptmx", &[master])?;
    Ok(())
}
