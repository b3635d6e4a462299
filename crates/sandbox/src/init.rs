//! The container's own init (`--init`): process 1 that reaps orphans and passes signals on.
//!
//! It runs in the copy of our memory made for the container, after all restrictions but the system call filter, holds
//! no descriptor, and makes five kinds of calls.

use crate::sys::signal::{self, SignalSet};
use crate::sys::task;

/// Serves until the child `main` ends, then ends with its exit code (128 + n for a signal), which ends the container.
/// All signals are blocked by the caller.
pub(crate) fn run(main: i32) -> ! {
    // The standard streams belong to the child alone, so that its end is seen as the end of the log.
    let _ = task::close_range(0, i32::MAX);
    let all = SignalSet::all();
    loop {
        match signal::wait(&all) {
            Ok(libc::SIGCHLD) => reap(main),
            Ok(number) => {
                // The child may have ended just now: its SIGCHLD comes next.
                let _ = signal::kill(main, number);
            }
            Err(_) => reap(main),
        }
    }
}

fn reap(main: i32) {
    while let Ok(Some((pid, code))) = task::reap_any() {
        if pid == main {
            task::exit(code);
        }
    }
}
