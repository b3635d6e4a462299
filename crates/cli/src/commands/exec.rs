//! `stockade exec`

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use stockade_engine::{EngineError, ExecProcess, ExecRequest};
use stockade_sandbox::Stdio;
use stockade_sandbox::process::{Signals, fork_detached, send_signal};

use crate::Outcome;
use crate::container::attach::{block_signals, write_all};
use crate::container::detach_keys::{self, DetachKeys};
use crate::container::terminal::{self, RawTerminal};
use crate::container::{engine, env, start_failure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// Arguments of `stockade exec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// User (name or id), with optional :GROUP
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory inside
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// All capabilities and no system call filter
    #[arg(long)]
    privileged: bool,
    /// Keys that leave the process running
    #[arg(long, value_name = "KEYS", default_value = detach_keys::DEFAULT)]
    detach_keys: String,
    /// Container
    container: String,
    /// Command and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs another process in a running container.
pub fn run(args: Args, context: &Context) -> Outcome {
    let detach_keys = DetachKeys::parse(&args.detach_keys).map_err(Failure::usage)?;
    let request = ExecRequest {
        command: args.command.clone(),
        env: env::environment(&args.env_file, &args.env)?,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        privileged: args.privileged,
    };
    context.need_root("running a process in a container")?;
    if args.privileged {
        output::warn("--privileged: this process has all capabilities and no system call filter");
    }
    let failed = |e: EngineError| match e {
        // Docker: a container that does not run, or is not there, is 1.
        EngineError::NoSuchContainer { .. } | EngineError::WrongState { .. } => Failure::from(e),
        e => start_failure(e),
    };
    let engine = engine(context)?;
    crate::container::keep_our_program_from(&engine, std::slice::from_ref(&args.container))?;
    if args.detach {
        let stdio = Stdio { stdin: null()?, stdout: null()?, stderr: null()? };
        let terminal = args.tty.then(terminal::size);
        let stdio = if args.tty { None } else { Some(stdio) };
        let process = engine.exec(&args.container, &request, stdio, terminal).map_err(failed)?;
        leave(process.terminal)?;
        return Ok(Exit::DONE);
    }
    if args.tty {
        if args.interactive && !terminal::stdin_is_terminal() {
            return Err(Failure::new("standard input is not a terminal").hint("leave out -t"));
        }
        let signals = block_signals(true, false);
        let process = engine.exec(&args.container, &request, None, Some(terminal::size())).map_err(failed)?;
        return serve_terminal(process, args.interactive, detach_keys, signals.as_ref());
    }
    let stdin = if args.interactive { duplicate(rustix::stdio::stdin())? } else { null()? };
    // The process writes to our own streams: no copy in between, and its output is whole when it has ended.
    let stdio =
        Stdio { stdin, stdout: duplicate(rustix::stdio::stdout())?, stderr: duplicate(rustix::stdio::stderr())? };
    let signals = block_signals(false, true);
    let process = engine.exec(&args.container, &request, Some(stdio), None).map_err(failed)?;
    wait(process, signals.as_ref())
}

/// A terminal hangs up when nobody holds its other side: a small process takes that over for as long as it is used.
fn leave(terminal: Option<OwnedFd>) -> Result<(), Failure> {
    let Some(terminal) = terminal else { return Ok(()) };
    fork_detached(&[terminal.as_fd()], || {
        let mut bytes = [0u8; 4096];
        while matches!(rustix::io::read(&terminal, &mut bytes), Ok(1..) | Err(Errno::INTR)) {}
        0
    })?;
    Ok(())
}

fn null() -> Result<OwnedFd, Failure> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(std::io::Error::from)?)
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    fd.try_clone_to_owned().or_else(|_| null())
}

/// Waits for the end and passes signals on.
fn wait(mut process: ExecProcess, signals: Option<&Signals>) -> Outcome {
    loop {
        if let Some(status) = process.running.try_wait()? {
            return Ok(super::run::exit(status.code));
        }
        let mut fds = vec![PollFd::from_borrowed_fd(process.running.pidfd(), PollFlags::IN)];
        fds.extend(signals.map(|s| PollFd::new(s, PollFlags::IN)));
        wait_for(&mut fds)?;
        while let Some(signal) = signals.and_then(|s| s.next_signal().ok().flatten()) {
            send_signal(process.running.pidfd(), signal.number)?;
        }
    }
}

fn wait_for(fds: &mut [PollFd<'_>]) -> Result<(), Failure> {
    match poll(fds, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(std::io::Error::from(e).into()),
    }
}

/// Serves the terminal until the process ends or the user detaches.
fn serve_terminal(
    mut process: ExecProcess,
    interactive: bool,
    mut keys: DetachKeys,
    signals: Option<&Signals>,
) -> Outcome {
    let Some(terminal) = process.terminal.take() else {
        return Err(Failure::new("the process got no terminal"));
    };
    let raw = if interactive { RawTerminal::stdin() } else { None };
    let mut bytes = vec![0u8; 16 << 10];
    let mut reading = interactive;
    let status = loop {
        if let Some(status) = process.running.try_wait()? {
            break status;
        }
        let mut fds = vec![
            PollFd::from_borrowed_fd(process.running.pidfd(), PollFlags::IN),
            PollFd::new(&terminal, PollFlags::IN),
        ];
        fds.extend(signals.map(|s| PollFd::new(s, PollFlags::IN)));
        if reading {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        wait_for(&mut fds)?;
        let output = fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::IN));
        let hung_up = fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::HUP)) && !output;
        let input = reading && fds.last().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if output {
            copy_output(&terminal, &mut bytes)?;
        }
        if hung_up {
            // The process closed its terminal; only its end is left to wait for.
            break process.running.wait()?;
        }
        while signals.is_some_and(|s| matches!(s.next_signal(), Ok(Some(_)))) {
            resize(&terminal);
        }
        if input {
            match rustix::io::read(rustix::stdio::stdin(), bytes.as_mut_slice()) {
                Ok(n) if n > 0 => {
                    let (pass, detach) = keys.filter(bytes.get(..n).unwrap_or_default());
                    write_all(terminal.as_fd(), &pass)?;
                    if detach {
                        drop(raw);
                        leave(Some(terminal))?;
                        return Ok(Exit::DONE);
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                _ => reading = false,
            }
        }
    };
    // What is left in the terminal.
    while poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))
        .is_ok_and(|n| n > 0)
        && copy_output(&terminal, &mut bytes)?
    {}
    drop(raw);
    Ok(super::run::exit(status.code))
}

/// Copies once. Answers whether there may be more.
fn copy_output(terminal: &OwnedFd, bytes: &mut [u8]) -> Result<bool, Failure> {
    match rustix::io::read(terminal, &mut *bytes) {
        Ok(n) if n > 0 => {
            write_all(rustix::stdio::stdout(), bytes.get(..n).unwrap_or_default())?;
            Ok(true)
        }
        Err(Errno::INTR | Errno::AGAIN) => Ok(true),
        _ => Ok(false),
    }
}

fn resize(terminal: &OwnedFd) {
    let (columns, rows) = terminal::size();
    if columns > 0 {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let _ = rustix::termios::tcsetwinsize(terminal, size);
    }
}
