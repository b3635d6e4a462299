//! Waiting for a process in the foreground: its terminal, and the signals that we get for it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};
use stockade_sandbox::Running;
use stockade_sandbox::process::{Signals, send_signal};

use crate::terminal::{self, RawTerminal};

/// Signals that are passed on: all that are sent to a program on purpose.
const PASSED: &[i32] = &[1, 2, 3, 10, 12, 14, 15, 18];
/// SIGWINCH
const WINDOW_CHANGED: i32 = 28;

/// From here on signals are events. To be called before the process exists, so that none is lost.
pub fn block_signals() -> Option<Signals> {
    let list: Vec<i32> = PASSED.iter().copied().chain([WINDOW_CHANGED]).collect();
    Signals::block(&list).ok()
}

/// Serves until the process ends; its exit code.
pub fn attend(mut running: Running, master: Option<OwnedFd>, signals: Option<Signals>) -> Result<u8, String> {
    let raw = if master.is_some() { RawTerminal::stdin() } else { None };
    resize(master.as_ref());
    let code = serve(&mut running, master, signals.as_ref());
    drop(raw);
    code
}

fn serve(running: &mut Running, mut master: Option<OwnedFd>, signals: Option<&Signals>) -> Result<u8, String> {
    let mut input = master.is_some();
    loop {
        let (signal, output, keys) = wait(running, master.as_ref(), signals, input)?;
        if signal {
            pass_signals(running, master.as_ref(), signals);
        }
        if let Some(terminal) = master.as_ref().filter(|_| output)
            && !copy(terminal.as_fd(), rustix::stdio::stdout())
        {
            master = None;
        }
        if let Some(terminal) = master.as_ref().filter(|_| keys) {
            input = copy(rustix::stdio::stdin(), terminal.as_fd());
        }
        let ended = running.try_wait().map_err(|e| e.to_string())?;
        // Its last words may still be in the terminal.
        if let (Some(status), None) = (ended, master.as_ref().filter(|_| output)) {
            return Ok(u8::try_from(status.code).unwrap_or(255));
        }
    }
}

/// What there is: (a signal, output of the terminal, keys of the user).
fn wait(
    running: &Running,
    master: Option<&OwnedFd>,
    signals: Option<&Signals>,
    input: bool,
) -> Result<(bool, bool, bool), String> {
    let mut fds = vec![PollFd::from_borrowed_fd(running.pidfd(), PollFlags::IN)];
    let stdin = rustix::stdio::stdin();
    let sources =
        [signals.map(AsFd::as_fd), master.map(AsFd::as_fd), Some(stdin).filter(|_| input && master.is_some())];
    let mut places = [None; 3];
    for (place, fd) in places.iter_mut().zip(sources) {
        if let Some(fd) = fd {
            *place = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
    }
    match poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(e) => return Err(format!("cannot wait for the process: {e}")),
    }
    let is_ready = |place: Option<usize>| place.and_then(|at| fds.get(at)).is_some_and(|fd| !fd.revents().is_empty());
    let [signal, output, keys] = places.map(is_ready);
    Ok((signal, output, keys))
}

/// `false` at the end of the source, or when the target is gone.
fn copy(from: std::os::fd::BorrowedFd<'_>, to: std::os::fd::BorrowedFd<'_>) -> bool {
    let mut buffer = [0u8; 8192];
    match rustix::io::retry_on_intr(|| rustix::io::read(from, &mut buffer)) {
        Ok(n) if n > 0 => {
            let mut rest = buffer.get(..n).unwrap_or_default();
            while !rest.is_empty() {
                match rustix::io::retry_on_intr(|| rustix::io::write(to, rest)) {
                    Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                    Err(_) => return false,
                }
            }
            true
        }
        _ => false,
    }
}

fn pass_signals(running: &Running, master: Option<&OwnedFd>, signals: Option<&Signals>) {
    while let Some(Ok(Some(signal))) = signals.map(Signals::next_signal) {
        if signal.number == WINDOW_CHANGED {
            resize(master);
        } else {
            // It may have ended just now.
            let _ = send_signal(running.pidfd(), signal.number);
        }
    }
}

fn resize(master: Option<&OwnedFd>) {
    let (columns, rows) = terminal::size();
    if let Some(master) = master.filter(|_| columns > 0) {
        let _ = tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
    }
}
