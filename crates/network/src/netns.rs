//! Work inside a container's network namespace.

use std::os::fd::BorrowedFd;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::NetworkError;

/// Stack of the short-lived thread in bytes: the work is a few system calls.
const STACK: usize = 256 * 1024;

/// Runs `work` in the namespace, on a thread of its own that ends with it. The calling thread never leaves
/// its own namespace, so there is no way back that could fail.
pub(crate) fn within<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, NetworkError> + Send,
) -> Result<T, NetworkError> {
    thread::scope(|scope| {
        let entered = move || {
            move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
                .map_err(|e| NetworkError::kernel("enter the container's network namespace", e))?;
            work()
        };
        let thread = thread::Builder::new()
            .name("netns".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, entered)
            .map_err(|e| NetworkError::kernel("start a thread for the container's network namespace", e))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
