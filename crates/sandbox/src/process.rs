//! Processes of our own: detached forks, small residents, descriptors over sockets, signals as events.

use std::ffi::{CString, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, IoSlice, IoSliceMut, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::SandboxError;
use crate::error::Result;
use crate::sys::{memory, mount, signal, task};

/// At most this many descriptors travel in one message.
const MAX_FDS: usize = 16;

/// Forks a process that outlives the caller, in a session of its own, and runs `f` in it; `f`'s result is its exit code.
///
/// Standard streams become /dev/null unless they are in `keep`, and all other descriptors but those in `keep` are
/// closed: whatever `f` captured must be in `keep`. The working directory becomes `/`. The caller must have a single
/// thread. Returns the new process's id; its parent is the nearest reaper, not the caller.
pub fn fork_detached(keep: &[BorrowedFd<'_>], f: impl FnOnce() -> i32) -> Result<i32> {
    let (read, write) =
        pipe_with(PipeFlags::CLOEXEC).map_err(SandboxError::system("make a pipe for a detached process"))?;
    let first = task::plain_fork().map_err(SandboxError::system("fork"))?;
    if first == 0 {
        // The middle process only starts the session, so that the detached one can never get a terminal again.
        let _ = rustix::process::setsid();
        match task::plain_fork() {
            Ok(0) => {}
            Ok(pid) => {
                let _ = rustix::io::write(&write, &pid.to_le_bytes());
                task::exit(0);
            }
            Err(_) => task::exit(1),
        }
        let mut kept: Vec<i32> = keep.iter().map(AsRawFd::as_raw_fd).collect();
        settle(&mut kept);
        task::exit(std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(101));
    }
    drop(write);
    task::reap(first).map_err(SandboxError::system("wait for the forked process"))?;
    let mut pid = [0u8; 4];
    match retry_on_intr(|| rustix::io::read(&read, &mut pid)) {
        Ok(4) => Ok(i32::from_le_bytes(pid)),
        Ok(_) => Err(SandboxError::System { what: "fork a detached process", source: Errno::AGAIN }),
        Err(e) => Err(SandboxError::system("read the detached process's id")(e)),
    }
}

/// Closes everything but `kept` and gives missing standard streams to /dev/null.
fn settle(kept: &mut Vec<i32>) {
    let _ = rustix::process::chdir(c"/");
    kept.sort_unstable();
    kept.dedup();
    let mut from = 0;
    for fd in kept.iter().copied() {
        let _ = task::close_range(from, fd - 1);
        from = fd + 1;
    }
    let _ = task::close_range(from, i32::MAX);
    // open(2) takes the lowest free number: 0, 1 and 2 are filled in turn.
    while let Ok(null) = openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty()) {
        if null.as_raw_fd() > 2 {
            break;
        }
        std::mem::forget(null);
    }
}

/// Gives memory that this process does not need right now back: pages of programs and libraries that were never written
/// (they come back from their files when used), and free heap. For the monitor, before it waits.
pub fn shrink_resident() {
    memory::trim_heap();
    let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for (start, end) in clean_file_maps(&maps) {
        memory::forget_clean_pages(start, end);
    }
    drop(maps);
    memory::trim_heap();
}

/// Ranges of /proc/self/smaps that are private maps of a file, not writable, with no page ever written (relocated data
/// shows as `Anonymous`). See proc_pid_smaps(5).
fn clean_file_maps(smaps: &str) -> Vec<(usize, usize)> {
    let mut clean = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(value) = line.strip_prefix("Anonymous:") {
            if let (Some(range), Some("0")) = (candidate.take(), value.split_whitespace().next()) {
                clean.push(range);
            }
        } else if let Some(range) = file_map(line) {
            candidate = range;
        }
    }
    clean
}

/// `Some(range)` for the header line of a map; the range only when it qualifies.
fn file_map(line: &str) -> Option<Option<(usize, usize)>> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let permissions = fields.next()?;
    let path = fields.nth(3).unwrap_or_default();
    let qualifies = path.starts_with('/') && permissions.ends_with('p') && !permissions.contains('w');
    Some(qualifies.then_some((start, end)))
}

/// Executes this very program again from a read-only mount of its file, unless it runs from one already.
///
/// A container without a user namespace of its own runs as the host's root. A script in it whose interpreter is
/// `/proc/self/exe` makes the kernel run *our* program file there, and its processes' /proc/PID/exe then lead to the file
/// on the host (CVE-2019-5736). Through a read-only mount it cannot be opened for writing. To be called at the start of a
/// process that will [`crate::create`] or [`crate::exec`] in such containers; containers with a user namespace do not
/// need it, since their root may not write to files of the host's root. The detached mount vanishes with the process.
///
/// Returns when nothing needs to be done. Needs root; standard streams and other inherited descriptors stay.
pub fn run_from_readonly_mount() -> Result<()> {
    let error = |e| SandboxError::path("look at the mount of", "/proc/self/exe")(e);
    if rustix::fs::statvfs(EXE).map_err(error)?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    run_again()
}

const EXE: &std::ffi::CStr = c"/proc/self/exe";

/// Executes this very program again, with the same arguments, environment and descriptors, from a read-only mount of its
/// file. Returns only when that fails.
///
/// Besides [`run_from_readonly_mount`], for a process that has become root of a user namespace: what memory it has belongs
/// to the namespace in which it was executed, and the kernel keeps /proc entries of its children closed to it otherwise.
pub fn run_again() -> Result<()> {
    let error = |e| SandboxError::path("run this program from a read-only mount of", "/proc/self/exe")(e);
    let tree = mount::clone_host_tree(EXE, false).or_else(|e| own_file(e).ok_or(e)).map_err(error)?;
    execute_readonly(tree, std::env::args_os().collect()).map_err(error)
}

/// Executes the program `path` in place of this one, from a read-only mount of its file, with `args` (its name first) and
/// our environment and descriptors. Returns only when that fails.
pub fn run_program_from_readonly_mount(path: &std::path::Path, args: Vec<OsString>) -> Result<()> {
    let error = |e| SandboxError::path("run from a read-only mount", path)(e);
    let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| error(Errno::INVAL))?;
    let tree = mount::clone_host_tree(&name, false).map_err(error)?;
    execute_readonly(tree, args).map_err(error)
}

fn execute_readonly(tree: OwnedFd, args: Vec<OsString>) -> Result<(), Errno> {
    let change = mount::Change { set: mount::attr::RDONLY | mount::attr::NOSUID, ..mount::Change::default() };
    mount::set_attributes(tree.as_fd(), change)?;
    let strings = |list: Vec<Vec<u8>>| list.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    let nul = |_| Errno::INVAL;
    let args = strings(args.into_iter().map(OsString::into_encoded_bytes).collect()).map_err(nul)?;
    let pairs = std::env::vars_os().map(|(name, value)| {
        let mut pair = name.into_encoded_bytes();
        pair.push(b'=');
        pair.extend(value.into_encoded_bytes());
        pair
    });
    let env = strings(pairs.collect()).map_err(nul)?;
    let array = |list| task::StringArray::new(<[CString]>::iter(list).map(CString::as_c_str));
    Err(task::execve_fd(tree.as_fd(), &array(&args), &array(&env)))
}

/// Our program's file by its path, if it is the same file: after a change of the mount namespace `/proc/self/exe` leads to
/// the mount in the former one, which cannot be copied from here (`EINVAL`).
fn own_file(refusal: Errno) -> Option<OwnedFd> {
    if refusal != Errno::INVAL {
        return None;
    }
    let path = rustix::fs::readlink(EXE, Vec::new()).ok()?;
    let tree = mount::clone_host_tree(&path, false).ok()?;
    let (ours, there) = (rustix::fs::stat(EXE).ok()?, rustix::fs::fstat(&tree).ok()?);
    ((ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)).then_some(tree)
}

/// Sends `bytes` (at least one) and at most 16 descriptors over a unix socket.
pub fn send_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let error = SandboxError::system("send descriptors");
    if fds.len() > MAX_FDS || bytes.is_empty() {
        return Err(error(Errno::INVAL));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let sent = retry_on_intr(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL));
    match sent {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(error(Errno::MSGSIZE)),
        Err(e) => Err(error(e)),
    }
}

/// Receives bytes and at most 16 descriptors (close-on-exec) from a unix socket. 0 bytes: the other side is gone.
pub fn recv_fds(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = retry_on_intr(|| recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC))
        .map_err(SandboxError::system("receive descriptors"))?;
    let fds = control
        .drain()
        .filter_map(|m| if let RecvAncillaryMessage::ScmRights(fds) = m { Some(fds) } else { None })
        .flatten()
        .collect();
    Ok((message.bytes, fds))
}

/// Signals that are blocked and read as events (signalfd(2)).
///
/// They stay blocked when this is dropped. A blocked mask is inherited by forks; containers start with an empty one.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

/// One received signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Who sent it; for SIGCHLD, whose state changed. 0: the kernel, or a process of another pid namespace.
    pub pid: i32,
}

impl Signals {
    /// Blocks `signals` in this thread and opens a non-blocking, close-on-exec descriptor for them.
    pub fn block(signals: &[i32]) -> Result<Self> {
        let set = signal::SignalSet::of(signals);
        signal::mask(libc::SIG_BLOCK, &set).map_err(SandboxError::system("block signals"))?;
        let fd = signal::descriptor(&set).map_err(SandboxError::system("watch signals"))?;
        Ok(Self { fd })
    }

    /// The next pending signal, if any. Poll the descriptor for reading to wait for one.
    pub fn next_signal(&self) -> Result<Option<Signal>> {
        let event = signal::read_event(self.fd.as_fd()).map_err(SandboxError::system("read a signal"))?;
        Ok(event.map(|(number, pid)| Signal { number, pid }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens a pidfd of a process.
pub fn open_pid(pid: i32) -> Result<OwnedFd> {
    let not_running = SandboxError::NotRunning { pid };
    // Negative ids are process groups elsewhere; here they are nonsense.
    let Some(id) = Pid::from_raw(pid).filter(|_| pid > 0) else { return Err(not_running) };
    pidfd_open(id, PidfdFlags::empty()).map_err(|e| match e {
        Errno::SRCH | Errno::INVAL => not_running,
        e => SandboxError::system("open a process")(e),
    })
}

/// Sends signal `number` through a pidfd; `false` when the process is gone.
pub fn send_signal(pidfd: BorrowedFd<'_>, number: i32) -> Result<bool> {
    match signal::send(pidfd, number) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(e) => Err(SandboxError::system("send a signal")(e)),
    }
}

/// When process `pid` started, in clock ticks since boot: with the id, an identity that is not used twice. `None`: no
/// such process (proc_pid_stat(5), field 22).
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, is in parentheses and may hold spaces and parentheses.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

const SIGNAL_NAMES: [(&str, i32); 34] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// First and last real-time signal as programs see them (glibc keeps 32 and 33).
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// A signal's number by number or name (`15`, `TERM`, `sigterm`, `RTMIN+3`, `RTMAX-1`), as docker reads them.
pub fn signal_number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |base: i32, sign: i32, offset: &str| {
        let offset = if offset.is_empty() { 0 } else { offset.get(1..)?.parse::<i32>().ok()? };
        let number = base.checked_add(sign.checked_mul(offset)?)?;
        REAL_TIME.contains(&number).then_some(number)
    };
    match (short.strip_prefix("RTMIN"), short.strip_prefix("RTMAX")) {
        (Some(rest), _) if rest.is_empty() || rest.starts_with('+') => real_time(*REAL_TIME.start(), 1, rest),
        (_, Some(rest)) if rest.is_empty() || rest.starts_with('-') => real_time(*REAL_TIME.end(), -1, rest),
        _ => SIGNAL_NAMES.iter().find(|(n, _)| *n == short).map(|(_, number)| *number),
    }
}

/// A signal's usual name without `SIG`, for messages; the number where it has none.
pub fn signal_name(number: i32) -> String {
    SIGNAL_NAMES.iter().find(|(_, n)| *n == number).map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for name in ["15", "TERM", "SIGTERM", "sigterm"] {
            assert_eq!(signal_number(name), Some(15), "{name}");
        }
        assert_eq!(signal_number("RTMIN+3"), Some(37));
        assert_eq!(signal_number("SIGRTMAX-1"), Some(63));
        for bad in ["", "0", "65", "TERMINATE", "RTMIN+99", "RTMIN-1", "-9", "RTMIN+"] {
            assert_eq!(signal_number(bad), None, "{bad}");
        }
        assert_eq!(signal_name(9), "KILL");
    }

    #[test]
    fn descriptors_travel_over_a_socket() {
        let (a, b) = crate::sync::pair().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(dir.path().join("f")).unwrap();
        send_fds(a.as_fd(), b"hello", &[file.as_fd()]).unwrap();
        let mut buffer = [0; 16];
        let (n, fds) = recv_fds(b.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"hello");
        let received = std::fs::File::from(fds.into_iter().next().unwrap());
        std::io::Write::write_all(&mut &received, b"x").unwrap();
        assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"x");
        drop(a);
        assert_eq!(recv_fds(b.as_fd(), &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn only_clean_private_file_maps_are_forgotten() {
        let smaps = "\
55d0c000-55d0d000 r--p 00000000 fe:00 42 /bin/x
Rss: 4 kB
Anonymous:             0 kB
55d0d000-55d0e000 r-xp 00001000 fe:00 42 /bin/x y
Anonymous:             4 kB
55d0e000-55d0f000 r--p 00001000 fe:00 42 /bin/x
Anonymous:             4 kB
55d0f000-55d10000 rw-p 00001000 fe:00 42 /bin/x
Anonymous:             0 kB
7f000000-7f001000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
7f001000-7f002000 r--s 00000000 fe:00 42 /shared
Anonymous:             0 kB";
        assert_eq!(clean_file_maps(smaps), [(0x55d0_c000, 0x55d0_d000)]);
    }

    #[test]
    fn processes_have_an_identity() {
        let own = std::process::id() as i32;
        assert!(start_time(own).unwrap() > 0);
        assert_eq!(start_time(-1), None);
        assert!(matches!(open_pid(0), Err(SandboxError::NotRunning { .. })));
        assert!(send_signal(open_pid(own).unwrap().as_fd(), 0).unwrap());
    }

    #[test]
    fn blocked_signals_arrive_as_events() {
        let signals = Signals::block(&[libc::SIGUSR1]).unwrap();
        assert_eq!(signals.next_signal().unwrap(), None);
        // To this thread: other test threads have the signal unblocked and would die of it.
        // SAFETY: tgkill takes numbers.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), libc::SIGUSR1) };
        assert_eq!(signals.next_signal().unwrap().map(|s| s.number), Some(libc::SIGUSR1));
    }
}
