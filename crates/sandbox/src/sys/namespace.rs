//! Questions about namespaces (ioctl_ns(2)).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::check;

/// The user namespace that owns the namespace of `fd`; `EPERM` when that is outside of the caller's own.
pub(crate) fn owner(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: the request takes no argument and touches no memory; its answer is a new descriptor that nobody else owns.
    unsafe {
        let owner = check(libc::ioctl(fd.as_raw_fd(), NS_GET_USERNS).into())?;
        Ok(OwnedFd::from_raw_fd(owner as RawFd))
    }
}

/// The user namespace right above the user namespace of `fd`; `EPERM` when that is outside of the caller's own.
pub(crate) fn parent(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const NS_GET_PARENT: libc::Ioctl = 0xb702;
    // JUSTIFICATION: no wrapper in libc or rustix.
    // SAFETY: the request takes no argument and touches no memory; its answer is a new descriptor that nobody else owns.
    unsafe {
        let parent = check(libc::ioctl(fd.as_raw_fd(), NS_GET_PARENT).into())?;
        Ok(OwnedFd::from_raw_fd(parent as RawFd))
    }
}
