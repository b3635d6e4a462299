//! A foreground container: input, output, signals and the terminal's size, in one loop without threads.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use stockade_engine::{Client, Message};
use stockade_sandbox::process::Signals;

use super::detach_keys::DetachKeys;
use super::terminal::{self, RawTerminal};
use crate::failure::Failure;

/// Signals that are passed on to the container (`--sig-proxy`): all that are sent to a program on purpose.
const PROXIED: &[i32] = &[1, 2, 3, 10, 12, 14, 15, 18];
/// SIGWINCH
const WINDOW_CHANGED: i32 = 28;

/// How an attachment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The container ended.
    Exit(i32),
    /// The user pressed the detach keys; the container runs on.
    Detached,
    /// The monitor is gone without a word.
    Lost,
}

/// What to attach.
#[derive(Debug)]
pub struct Options {
    /// The container has a terminal.
    pub tty: bool,
    /// Pass standard input on.
    pub stdin: bool,
    /// What leaves the container running.
    pub detach_keys: DetachKeys,
    /// Made by [`block_signals`] before the container was started, so that none is lost.
    pub signals: Option<Signals>,
}

/// From here on signals are events, so that none that comes while the container starts is lost.
pub fn block_signals(tty: bool, sig_proxy: bool) -> Option<Signals> {
    let mut list = if sig_proxy && !tty { PROXIED.to_vec() } else { Vec::new() };
    if tty {
        list.push(WINDOW_CHANGED);
    }
    if list.is_empty() { None } else { Signals::block(&list).ok() }
}

/// Serves until the container ends or the user detaches.
pub fn run(mut client: Client, mut options: Options) -> Result<End, Failure> {
    let raw = if options.tty && options.stdin { RawTerminal::stdin() } else { None };
    if options.tty {
        let (columns, rows) = terminal::size();
        if columns > 0 {
            client.resize(columns, rows);
        }
    }
    let end = serve(&mut client, &mut options);
    drop(raw);
    if matches!(end, Ok(End::Detached)) {
        client.detach()?;
    }
    end
}

fn serve(client: &mut Client, options: &mut Options) -> Result<End, Failure> {
    let mut reading_input = options.stdin;
    let mut input = vec![0u8; 16 << 10];
    loop {
        client.flush()?;
        while let Some(message) = client.message()? {
            match message {
                Message::Stdout(bytes) => write_all(rustix::stdio::stdout(), &bytes)?,
                Message::Stderr(bytes) => write_all(rustix::stdio::stderr(), &bytes)?,
                Message::Exit(code) => return Ok(End::Exit(code)),
            }
        }
        let mut fds = Vec::with_capacity(3);
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, client.wants_to_send());
        fds.push(PollFd::from_borrowed_fd(client.fd(), flags));
        if let Some(signals) = &options.signals {
            fds.push(PollFd::new(signals, PollFlags::IN));
        }
        // More input only when the last was taken: what waits here would be lost with us.
        let take_input = reading_input && !client.wants_to_send();
        if take_input {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(std::io::Error::from(e).into()),
        }
        let ready: Vec<PollFlags> = fds.iter().map(|fd| fd.revents()).collect();
        drop(fds);
        if ready.first().is_some_and(|r| r.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
            && !client.receive_now()?
        {
            // Its last messages may have come with its end.
            return last_words(client);
        }
        pass_signals(client, options);
        if take_input && ready.last().is_some_and(|r| !r.is_empty()) {
            match rustix::io::read(rustix::stdio::stdin(), input.as_mut_slice()) {
                Ok(n) if n > 0 => {
                    let bytes = input.get(..n).unwrap_or_default();
                    if options.tty {
                        let (keys, detach) = options.detach_keys.filter(bytes);
                        client.input(&keys);
                        if detach {
                            return Ok(End::Detached);
                        }
                    } else {
                        client.input(bytes);
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                // Its end, or no standard input at all.
                _ => {
                    reading_input = false;
                    client.input_end();
                }
            }
        }
    }
}

fn last_words(client: &mut Client) -> Result<End, Failure> {
    while let Some(message) = client.message()? {
        match message {
            Message::Stdout(bytes) => write_all(rustix::stdio::stdout(), &bytes)?,
            Message::Stderr(bytes) => write_all(rustix::stdio::stderr(), &bytes)?,
            Message::Exit(code) => return Ok(End::Exit(code)),
        }
    }
    Ok(End::Lost)
}

fn pass_signals(client: &mut Client, options: &Options) {
    let Some(signals) = &options.signals else { return };
    while let Ok(Some(signal)) = signals.next_signal() {
        if signal.number == WINDOW_CHANGED {
            let (columns, rows) = terminal::size();
            client.resize(columns, rows);
        } else {
            client.forward_signal(signal.number);
        }
    }
}

/// Writes to a stream that may be non-blocking (shared with a program that made it so).
pub fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Failure> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(fd, rest) {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
            }
            Err(e) => return Err(std::io::Error::from(e).into()),
        }
    }
    Ok(())
}
