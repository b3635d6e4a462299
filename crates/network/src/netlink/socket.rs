//! A blocking netlink socket that sends a batch and waits for its answers.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol as SocketProtocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
    socket_with, sockopt,
};

use super::message::{Batch, DUMP, Message, TYPE_DONE, Writer, messages};
use crate::error::NetworkError;

/// Larger than any datagram of the kernel: dumps come in pieces of at most 32 KiB (netlink(7)).
const RECEIVE_BYTES: usize = 32 * 1024;

/// The kernel answers within the system call; a wait this long means it never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the kernel in the network namespace where it was opened, wherever it is used.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Links, addresses and routes: `NETLINK_ROUTE`, number 0, which is what no protocol means.
    pub(crate) fn route() -> Result<Socket, NetworkError> {
        Socket::open(None)
    }

    /// The firewall and connection tracking.
    pub(crate) fn netfilter() -> Result<Socket, NetworkError> {
        Socket::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<SocketProtocol>) -> Result<Socket, NetworkError> {
        let opened = || -> Result<OwnedFd, Errno> {
            let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
            sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(PATIENCE))?;
            Ok(fd)
        };
        let fd = opened().map_err(|e| NetworkError::kernel("open a netlink socket", e))?;
        Ok(Socket { fd })
    }

    pub(crate) fn into_inner(self) -> OwnedFd {
        self.fd
    }

    /// Sends all requests and waits until the last one is answered; it must have asked for that ([`super::message::ACK`]).
    /// The first failure is returned in the words of its request. rtnetlink carries on after a failure;
    /// an nf_tables batch is all or nothing.
    pub(crate) fn execute(&self, batch: &Batch) -> Result<(), NetworkError> {
        let (Some((_, first_words)), Some((last, _))) = (batch.requests().first(), batch.requests().last()) else {
            return Ok(());
        };
        self.send(batch.bytes(), first_words)?;
        let mut buffer = vec![0; RECEIVE_BYTES];
        let mut failure: Option<(usize, Errno)> = None;
        let mut answered = false;
        while !answered {
            // After a failure nothing more is certain to come: take what is there.
            let flags = if failure.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            let received = match recv(&self.fd, &mut buffer, flags) {
                Ok((count, _)) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) if failure.is_some() => break,
                Err(e) => return Err(NetworkError::kernel(format!("{first_words}: no answer from the kernel"), e)),
            };
            for message in messages(buffer.get(..received).unwrap_or_default()) {
                // Sequence numbers of a batch rise, but other threads take some in between.
                let index = batch.requests().binary_search_by_key(&message.sequence, |(s, _)| *s);
                let (Some(number), Ok(index)) = (message.error_number(), index) else { continue };
                if number != 0 && failure.is_none_or(|(earlier, _)| index < earlier) {
                    failure = Some((index, Errno::from_raw_os_error(number)));
                }
                answered |= message.sequence == *last;
            }
        }
        match failure {
            None => Ok(()),
            Some((index, errno)) => {
                let words = batch.requests().get(index).map_or("speak to the kernel", |(_, words)| words.as_str());
                Err(NetworkError::kernel(words, errno))
            }
        }
    }

    /// Asks for one thing or, with [`DUMP`] in `flags`, for all of a kind, and hands each answer to `each`.
    pub(crate) fn query(
        &self,
        what: &str,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer<'_>),
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), NetworkError> {
        let mut batch = Batch::default();
        batch.request(what, kind, flags, body);
        let sequence = batch.requests().first().map_or(0, |(s, _)| *s);
        self.send(batch.bytes(), what)?;
        let mut buffer = vec![0; RECEIVE_BYTES];
        loop {
            let received = match recv(&self.fd, &mut buffer, RecvFlags::empty()) {
                Ok((count, _)) => count,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(NetworkError::kernel(what, e)),
            };
            for message in messages(buffer.get(..received).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                match message.error_number() {
                    Some(0) => return Ok(()),
                    Some(number) => return Err(NetworkError::kernel(what, Errno::from_raw_os_error(number))),
                    None if message.kind == TYPE_DONE => return Ok(()),
                    None => each(&message),
                }
                if flags & DUMP != DUMP && flags & super::message::ACK == 0 {
                    return Ok(());
                }
            }
        }
    }

    fn send(&self, bytes: &[u8], what: &str) -> Result<(), NetworkError> {
        loop {
            match send(&self.fd, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(NetworkError::kernel(what, e)),
            }
        }
    }
}
