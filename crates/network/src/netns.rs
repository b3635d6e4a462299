//! Work inside a container's network namespace.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::NetworkError;

/// Runs `work` with the calling thread in the namespace, and brings the thread back.
///
/// A thread of its own for that would need no way back. But it costs two turns of the scheduler, milliseconds
/// on a busy machine, and memory that the container's monitor would keep.
pub(crate) fn within<T>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, NetworkError>,
) -> Result<T, NetworkError> {
    let home = File::open("/proc/thread-self/ns/net")
        .map_err(|e| NetworkError::kernel("open the host's network namespace", e))?;
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
        .map_err(|e| NetworkError::kernel("enter the container's network namespace", e))?;
    let _way_back = WayBack { home };
    work()
}

/// As [`within`], for work that a thread of its own can do. Who is root of a user namespace only cannot come back to the
/// host's network, which belongs to another one.
pub(crate) fn within_for_anybody<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, NetworkError> + Send,
) -> Result<T, NetworkError> {
    if comes_back() {
        return within(netns, work);
    }
    let there = || {
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .map_err(|e| NetworkError::kernel("enter the container's network namespace", e))?;
        work()
    };
    std::thread::scope(|scope| scope.spawn(there).join())
        .unwrap_or_else(|_| Err(NetworkError::kernel("finish in the container's network namespace", Errno::CHILD)))
}

fn comes_back() -> bool {
    // Whoever may enter the namespace that it is in may come back to it.
    File::open("/proc/thread-self/ns/net")
        .is_ok_and(|home| move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network)).is_ok())
}

/// Brings the thread back when dropped.
struct WayBack {
    home: File,
}

impl Drop for WayBack {
    fn drop(&mut self) {
        if move_into_link_name_space(self.home.as_fd(), Some(LinkNameSpaceType::Network)).is_err() {
            // The kernel has no reason left to refuse but a lack of memory. To go on in the container's network
            // would be to treat it as the host's.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_comes_back_after_success_and_failure() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: to enter a namespace needs root");
            return;
        }
        let name = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let (before, own) = (name(), File::open("/proc/thread-self/ns/net").unwrap());
        within(own.as_fd(), || Ok(())).unwrap();
        within(own.as_fd(), || -> Result<(), _> { Err(NetworkError::kernel("x", rustix::io::Errno::PERM)) })
            .unwrap_err();
        assert_eq!(name(), before);
        let other = File::open("/proc/self/ns/mnt").unwrap();
        assert!(within(other.as_fd(), || Ok(())).unwrap_err().to_string().contains("enter"));
    }
}
