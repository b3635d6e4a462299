//! Keeps instances of Stockade with different state directories from setting up networks at the same moment.
//!
//! Within one state directory the lock file does that. Between two, subnets are chosen and forwarding is
//! switched by what the kernel shows, so they must not look at the same time. An abstract unix socket belongs
//! to one network namespace and ends with its process, which is just the life that this lock needs.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

/// Name of the socket, as `ss -xl` shows it after an `@`.
const NAME: &[u8] = b"stockade/network-setup";

/// A setup takes milliseconds. Anybody on the host may take the name and keep it; after this time the work
/// goes on without the lock, because two setups at once are rare and a refusal would be worse.
const PATIENCE: Duration = Duration::from_secs(1);

/// The held lock; `None` inside if it could not be had.
#[derive(Debug)]
pub(crate) struct SetupLock(#[expect(dead_code, reason = "held for its life time")] Option<OwnedFd>);

impl SetupLock {
    pub(crate) fn take() -> SetupLock {
        let start = Instant::now();
        loop {
            match try_take() {
                Ok(socket) => return SetupLock(Some(socket)),
                Err(rustix::io::Errno::ADDRINUSE) if start.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return SetupLock(None),
            }
        }
    }
}

fn try_take() -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new_abstract_name(NAME)?)?;
    Ok(socket)
}
