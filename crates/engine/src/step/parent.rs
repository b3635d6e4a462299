//! The caller's side of a step: forks the helper, streams output, passes a cancel on.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use stockade_sandbox::process;

use super::helper::{self, Verdict};
use super::{StepRequest, StepStream};
use crate::Engine;
use crate::error::{EngineError, system_error};

/// Output read at once, in bytes.
const CHUNK: usize = 32 << 10;

/// Runs the step through a helper.
pub(super) fn run(
    engine: &Engine,
    request: &StepRequest,
    holder: &str,
    range: u32,
    out: &mut dyn FnMut(StepStream, &[u8]),
) -> Result<i32, EngineError> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(system_error("make a pipe"));
    let (stdout, theirs_out) = pipe()?;
    let (stderr, theirs_err) = pipe()?;
    let (control, theirs) = UnixStream::pair().map_err(system_error("make a socket pair"))?;
    let keep = [theirs.as_fd(), theirs_out.as_fd(), theirs_err.as_fd()];
    process::fork_detached(&keep, || {
        helper::run(engine, request, holder, range, &theirs, theirs_out.as_fd(), theirs_err.as_fd())
    })?;
    drop((theirs, theirs_out, theirs_err));
    let cancelled = stream(request, [(StepStream::Stdout, stdout), (StepStream::Stderr, stderr)], &control, out)?;
    let verdict = verdict(control)?;
    if cancelled {
        return Err(EngineError::Cancelled);
    }
    match verdict.error {
        Some(message) => Err(EngineError::Start { message, exit_code: verdict.exit_code }),
        None => Ok(verdict.code),
    }
}

/// Passes output on until both streams end. Answers whether the step was cancelled.
fn stream(
    request: &StepRequest,
    streams: [(StepStream, OwnedFd); 2],
    control: &UnixStream,
    out: &mut dyn FnMut(StepStream, &[u8]),
) -> Result<bool, EngineError> {
    let mut open: Vec<(StepStream, OwnedFd)> = streams.into();
    let mut cancelled = false;
    let mut bytes = vec![0u8; CHUNK];
    while !open.is_empty() {
        let cancel = request.cancel.as_deref().filter(|_| !cancelled);
        let mut fds: Vec<PollFd<'_>> = open.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN)).collect();
        if let Some(cancel) = cancel {
            fds.push(PollFd::new(cancel, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(system_error("wait for a build step")(e)),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if cancel.is_some() && ready.last() == Some(&true) {
            cancelled = true;
            // The helper sees the end of the connection and kills the step.
            let _ = control.shutdown(std::net::Shutdown::Write);
        }
        let mut index = 0;
        open.retain(|(stream, fd)| {
            let is_ready = ready.get(index) == Some(&true);
            index += 1;
            if !is_ready {
                return true;
            }
            match rustix::io::read(fd, bytes.as_mut_slice()) {
                Ok(0) => false,
                Ok(n) => {
                    out(*stream, bytes.get(..n).unwrap_or_default());
                    true
                }
                Err(Errno::INTR | Errno::AGAIN) => true,
                Err(_) => false,
            }
        });
    }
    Ok(cancelled)
}

/// Hears how it ended, after everything was cleaned up.
fn verdict(mut control: UnixStream) -> Result<Verdict, EngineError> {
    let mut bytes = Vec::new();
    control.read_to_end(&mut bytes).map_err(system_error("hear from the build step's helper"))?;
    serde_json::from_slice(&bytes).map_err(|_| EngineError::Start {
        message: "the helper process of the build step was killed".to_owned(),
        exit_code: 125,
    })
}
