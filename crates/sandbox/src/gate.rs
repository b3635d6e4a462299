//! Where a created container waits until it is started, possibly by another process.
//!
//! The gate is a listening unix socket in the container's state directory. The process inherits it, and accepts one
//! connection: the word to start comes over it, and reports go back; its end means that the program has been executed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use crate::SandboxError;
use crate::error::Result;
use crate::sync::{Report, Step, Word, next_report, say};
use crate::sys::task;

/// Takes the listener of a filter that asks user space (seccomp_unotify(2)).
pub type TakeListener<'a> = &'a mut dyn FnMut(OwnedFd) -> std::io::Result<()>;

/// Makes the gate `name` in the directory `dir`.
pub fn make(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let error = || SandboxError::system("make the socket at which the container waits");
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(error())?;
    bind(&socket, &address(dir, name)?).map_err(error())?;
    listen(&socket, 1).map_err(error())?;
    task::duplicate_above_stdio(socket).map_err(error())
}

/// Through the directory's descriptor: paths of sockets may have no more than 107 bytes.
fn address(dir: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
        .map_err(SandboxError::system("name the socket at which the container waits"))
}

/// Starts the process that waits at the gate; returns when it has executed `program`.
///
/// `pidfd`: the process. `listener` takes the descriptor of its filter, if that asks user space.
pub fn open(
    dir: BorrowedFd<'_>,
    name: &str,
    program: &str,
    pidfd: BorrowedFd<'_>,
    listener: Option<TakeListener<'_>>,
) -> Result<()> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(SandboxError::system("make a socket"))?;
    connect(&socket, &address(dir, name)?).map_err(|e| match e {
        Errno::CONNREFUSED | Errno::NOENT => SandboxError::Died,
        e => SandboxError::system("reach the process that waits to be started")(e),
    })?;
    say(socket.as_fd(), Word::Start, None)?;
    executed(socket.as_fd(), program, pidfd, listener)
}

/// Waits until the program has been executed, or says why not.
pub(crate) fn executed(
    sync: BorrowedFd<'_>,
    program: &str,
    pidfd: BorrowedFd<'_>,
    mut listener: Option<TakeListener<'_>>,
) -> Result<()> {
    loop {
        match next_report(sync)? {
            None => return Ok(()),
            Some(Report { step: Step::Listener, errno: None, value }) => {
                let error = SandboxError::system("take the listener of the system call filter");
                let fd = task::take_descriptor(pidfd, value).map_err(error)?;
                let taken = match listener.as_mut() {
                    Some(take) => take(fd),
                    None => Err(std::io::Error::other("nobody listens")),
                };
                taken.map_err(|e| SandboxError::Unsupported {
                    what: "linux.seccomp.listenerPath".to_owned(),
                    why: format!("the listener cannot be handed over: {e}"),
                })?;
                say(sync, Word::Taken, None)?;
            }
            Some(report) => return Err(report.into_error(program)),
        }
    }
}
