//! The conversation between the launcher and the process it makes, over a socket pair that closes on exec.
//!
//! Child to launcher: [`Report`]s of twelve bytes; the end of the stream means that the program has been executed.
//! Launcher to child: one byte for each [`Word`]; the end of the stream means that the launcher is gone.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, IoSlice, IoSliceMut, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};

use crate::SandboxError;
use crate::error::Result;
use crate::sys::task::duplicate_above_stdio;

/// What the launcher says.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Word {
    /// Go on: what the child waited for is done (its mounts, its limits). The slave side of a new terminal travels along.
    Go = b'G',
    /// Run the program.
    Start = b'S',
    /// The listener's descriptor has been taken.
    Taken = b'T',
}

/// What the child was doing when it failed, or that it has come so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Step {
    Ready,
    HideMemory,
    JoinNamespaces,
    NewNamespaces,
    JoinCgroup,
    NewCgroupNamespace,
    HostName,
    DomainName,
    WorkingDirectory,
    WorkingDirectoryOutside,
    Keyring,
    Signals,
    BoundingSet,
    KeepCapabilities,
    SetIds,
    Capabilities,
    NoNewPrivileges,
    Landlock,
    Init,
    Session,
    ControllingTerminal,
    StandardStreams,
    Descriptors,
    Filter,
    Personality,
    OwnMounts,
    Label,
    StartHook,
    Prepared,
    Listener,
    Exec,
}

const STEPS: [(Step, &str); 31] = [
    (Step::Ready, "report that it is ready"),
    (Step::HideMemory, "hide its memory"),
    (Step::JoinNamespaces, "join the namespaces"),
    (Step::NewNamespaces, "make new namespaces"),
    (Step::JoinCgroup, "join its cgroup"),
    (Step::NewCgroupNamespace, "make a cgroup namespace"),
    (Step::HostName, "set its host name"),
    (Step::DomainName, "set its domain name"),
    (Step::WorkingDirectory, "enter its working directory"),
    (Step::WorkingDirectoryOutside, "use a working directory outside the container"),
    (Step::Keyring, "make a session keyring"),
    (Step::Signals, "reset its signals"),
    (Step::BoundingSet, "limit its capability bounding set"),
    (Step::KeepCapabilities, "keep its capabilities"),
    (Step::SetIds, "change to its user and groups"),
    (Step::Capabilities, "set its capabilities"),
    (Step::NoNewPrivileges, "set no_new_privs"),
    (Step::Landlock, "enter its Landlock domain"),
    (Step::Init, "start the process beneath init"),
    (Step::Session, "start a session"),
    (Step::ControllingTerminal, "take its terminal"),
    (Step::StandardStreams, "set its standard streams"),
    (Step::Descriptors, "close other descriptors on exec"),
    (Step::Filter, "install its system call filter"),
    (Step::Personality, "set its execution domain"),
    (Step::OwnMounts, "make a mount namespace of its own"),
    (Step::Label, "set its security label"),
    (Step::StartHook, "run a startContainer hook"),
    (Step::Prepared, "report that it is prepared"),
    (Step::Listener, "hand its system call listener over"),
    (Step::Exec, "run its program"),
];

/// A step and the kernel's answer to it (0: done).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) step: Step,
    pub(crate) errno: Option<Errno>,
    /// With [`Step::Listener`]: the descriptor's number in the child. With [`Step::StartHook`]: which hook.
    pub(crate) value: i32,
}

impl Report {
    pub(crate) fn failed(step: Step) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { step, errno: Some(errno), value: 0 }
    }

    pub(crate) fn done(step: Step) -> Self {
        Self { step, errno: None, value: 0 }
    }

    fn encode(self) -> [u8; 12] {
        let errno = self.errno.map_or(0, |e| e.raw_os_error());
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&(self.step as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&errno.to_le_bytes());
        bytes[8..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    fn decode(bytes: [u8; 12]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        let step = STEPS.get(u32::from_le_bytes([a, b, c, d]) as usize)?.0;
        let errno = i32::from_le_bytes([e, f, g, h]);
        let value = i32::from_le_bytes([i, j, k, l]);
        Some(Self { step, errno: (errno != 0).then(|| Errno::from_raw_os_error(errno)), value })
    }

    /// As the caller's error. `program` is what was to be executed.
    pub(crate) fn into_error(self, program: &str) -> SandboxError {
        let source = self.errno.unwrap_or(Errno::IO);
        if self.step == Step::Exec {
            return SandboxError::Exec { program: program.to_owned(), errno: source };
        }
        let step = STEPS.get(self.step as usize).map_or("continue", |s| s.1);
        SandboxError::Child { step, source }
    }
}

/// The two ends: (launcher's, child's).
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    // Above 2, even where the caller has closed its standard streams: the child puts its own there.
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .and_then(|(ours, theirs)| Ok((duplicate_above_stdio(ours)?, duplicate_above_stdio(theirs)?)))
        .map_err(SandboxError::system("make a socket pair"))
}

/// The child's next report; `None` at the end of the stream.
pub(crate) fn next_report(fd: BorrowedFd<'_>) -> Result<Option<Report>> {
    let mut bytes = [0u8; 12];
    match retry_on_intr(|| recv(fd, &mut bytes, RecvFlags::empty())) {
        Ok((12, _)) => Report::decode(bytes).map(Some).ok_or(SandboxError::Died),
        Ok(_) | Err(Errno::CONNRESET) => Ok(None),
        Err(e) => Err(SandboxError::system("read from the new process")(e)),
    }
}

/// Says a word to the child, with a descriptor or without.
pub(crate) fn say(fd: BorrowedFd<'_>, word: Word, with: Option<BorrowedFd<'_>>) -> Result<()> {
    let bytes = [word as u8];
    let sent = match with {
        None => send(fd, &bytes, SendFlags::NOSIGNAL),
        Some(descriptor) => {
            let descriptors = [descriptor];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(fd, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)
        }
    };
    match sent {
        Ok(_) => Ok(()),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(SandboxError::Died),
        Err(e) => Err(SandboxError::system("write to the new process")(e)),
    }
}

/// On the child's side: sends a report. Does not allocate.
pub(crate) fn report(fd: BorrowedFd<'_>, report: Report) {
    // Nobody may be listening any more; the child ends in any case. Plain write: any filter allows it.
    let _ = rustix::io::write(fd, &report.encode());
}

/// On the child's side: waits for `word`. `Err`: the launcher is gone. Does not allocate.
pub(crate) fn await_word(fd: BorrowedFd<'_>, word: Word) -> Result<Option<OwnedFd>, ()> {
    let mut byte = [0u8; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        retry_on_intr(|| recvmsg(fd.as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC));
    match received {
        Ok(message) if message.bytes == 1 && byte[0] == word as u8 => {
            let mut descriptor = None;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                    descriptor = descriptors.next();
                }
            }
            Ok(descriptor)
        }
        _ => Err(()),
    }
}

/// As [`await_word`], with read(2) alone: any filter allows it.
pub(crate) fn await_byte(fd: BorrowedFd<'_>, word: Word) -> Result<(), ()> {
    let mut byte = [0u8; 1];
    match retry_on_intr(|| rustix::io::read(fd, &mut byte)) {
        Ok(1) if byte[0] == word as u8 => Ok(()),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_words_at_its_number() {
        for (number, (step, words)) in STEPS.iter().enumerate() {
            assert_eq!(*step as usize, number, "{words}");
        }
        assert_eq!(STEPS.last().unwrap().0, Step::Exec);
    }

    #[test]
    fn reports_and_words_travel() {
        let (ours, theirs) = pair().unwrap();
        report(theirs.as_fd(), Report { step: Step::SetIds, errno: Some(Errno::PERM), value: 0 });
        report(theirs.as_fd(), Report::done(Step::Ready));
        let first = next_report(ours.as_fd()).unwrap().unwrap();
        assert!(matches!(first.into_error("x"), SandboxError::Child { source: Errno::PERM, .. }));
        assert_eq!(next_report(ours.as_fd()).unwrap().unwrap().errno, None);
        say(ours.as_fd(), Word::Go, Some(ours.as_fd())).unwrap();
        assert!(await_word(theirs.as_fd(), Word::Go).unwrap().is_some());
        say(ours.as_fd(), Word::Start, None).unwrap();
        assert!(await_word(theirs.as_fd(), Word::Start).unwrap().is_none());
        drop(ours);
        assert!(await_word(theirs.as_fd(), Word::Start).is_err());
    }

    #[test]
    fn the_end_of_the_stream_is_no_report() {
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        assert_eq!(next_report(ours.as_fd()).unwrap(), None);
        assert!(matches!(say(ours.as_fd(), Word::Start, None), Err(SandboxError::Died)));
    }
}
