//! What the new process does between clone and exec.
//!
//! # Rules
//! It runs in a copy of the caller's memory without fork's handlers: it never allocates, formats or locks. All that it
//! needs was prepared before the clone ([`Prepared`], [`Orders`]); errors are step numbers on the socket.
//!
//! # Order, and why
//! 1. Hide memory (`PR_SET_DUMPABLE 0`): with a shared pid namespace others could look at it (CVE-2019-5736).
//! 2. Namespaces and cgroup, while the launcher mounts; report ready.
//! 3. Wait until the mount namespace is complete. Our root has been pivoted by then.
//! 4. Names, working directory (checked to be inside, CVE-2024-21626), keyring, umask, signals.
//! 5. Bounding set (needs CAP_SETPCAP), filter if `no_new_privs` will be off (needs CAP_SYS_ADMIN), ids, capabilities.
//! 6. `no_new_privs`, Landlock.
//! 7. init forks here. Session, terminal, standard streams; everything else is closed.
//! 8. Wait for the word to start, from the launcher or at the gate ([`crate::gate`]); startContainer hooks; the filter comes last, so that it need not allow the steps before.

use std::ffi::{CStr, CString, c_int};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::error::Result;
use crate::seccomp::Instruction;
use crate::sync::{Report, Step, Word, await_byte, await_word, report};
use crate::sys::{cred, signal, task};
use crate::{CapabilitySets, Process, SandboxError};

/// Where programs are looked up when the container's environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Signals whose disposition a parent may have set to "ignore", which would survive exec.
const RESET_SIGNALS: [c_int; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE, libc::SIGTERM];

/// The strings and programs of a process, made before the fork.
pub(crate) struct Prepared {
    candidates: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    /// The program as asked for, for messages.
    pub(crate) program: String,
}

impl Prepared {
    pub(crate) fn new(id: &str, process: &Process) -> Result<Self> {
        let invalid = |why: String| SandboxError::InvalidPlan { id: id.to_owned(), why };
        let strings = |what: &str, list: &[String]| -> Result<Vec<CString>> {
            let converted = list.iter().map(|s| CString::new(s.as_bytes()));
            converted.collect::<Result<_, _>>().map_err(|e| invalid(format!("{what} holds a nul byte: {e}")))
        };
        let program = process.args.first().filter(|p| !p.is_empty());
        let program = program.ok_or_else(|| invalid("there is no command to run".to_owned()))?;
        if !process.cwd.starts_with('/') {
            return Err(invalid(format!("the working directory `{}` is not absolute", process.cwd)));
        }
        Ok(Self {
            candidates: strings("the command", &candidates(program, &process.env))?,
            args: strings("the command", &process.args)?,
            env: strings("the environment", &process.env)?,
            cwd: CString::new(process.cwd.as_bytes())
                .map_err(|_| invalid("the working directory holds a nul byte".to_owned()))?,
            program: program.clone(),
        })
    }
}

/// Paths to try in order. Relative entries of PATH are skipped: they would depend on the working directory.
fn candidates(program: &str, env: &[String]) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let path = env.iter().find_map(|e| e.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| format!("{dir}/{program}")).collect()
}

/// Standard streams of the new process.
#[derive(Clone, Copy)]
pub(crate) enum Streams {
    /// Three descriptors above 2.
    Given([RawFd; 3]),
    /// A terminal's slave side, known before the fork.
    Terminal(RawFd),
    /// A terminal whose slave side comes with [`Word::Go`].
    TerminalToCome,
}

/// Everything the child does, as plain borrowed data.
pub(crate) struct Orders<'a> {
    pub(crate) prepared: &'a Prepared,
    /// The child's end of the socket pair, and the launcher's, of which it inherits a copy.
    pub(crate) sync: BorrowedFd<'a>,
    pub(crate) launcher_sync: RawFd,
    /// Namespaces to enter first, in this order: namespace files, or a pidfd and several kinds.
    pub(crate) join: [Option<(BorrowedFd<'a>, c_int)>; 2],
    /// Namespaces to make (`CLONE_NEW*`).
    pub(crate) unshare: c_int,
    /// Open `tasks` files of groups to enter (v1).
    pub(crate) cgroups: &'a [OwnedFd],
    pub(crate) new_cgroup_namespace: bool,
    /// Wait for [`Word::Go`] before anything else.
    pub(crate) hold: bool,
    /// Report ready and wait for [`Word::Go`], and at the end for [`Word::Start`].
    pub(crate) wait_for_mounts: bool,
    pub(crate) hostname: Option<&'a str>,
    pub(crate) domainname: Option<&'a str>,
    pub(crate) streams: Streams,
    pub(crate) umask: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// `None` where the kernel lets nobody change them.
    pub(crate) groups: Option<&'a [u32]>,
    pub(crate) capabilities: CapabilitySets,
    pub(crate) no_new_privileges: bool,
    pub(crate) filter: Option<&'a [Instruction]>,
    /// For seccomp(2).
    pub(crate) filter_flags: u32,
    pub(crate) landlock: Option<BorrowedFd<'a>>,
    pub(crate) init: bool,
    pub(crate) extra: ExtraOrders<'a>,
    /// argv and envp over `prepared`.
    pub(crate) argv: task::StringArray<'a>,
    pub(crate) envp: task::StringArray<'a>,
}

/// Orders that only bundles of the OCI runtime specification bring.
#[derive(Default)]
pub(crate) struct ExtraOrders<'a> {
    pub(crate) own_mounts: bool,
    pub(crate) personality: Option<u32>,
    pub(crate) label: Option<&'a str>,
    /// Keep the session keyring.
    pub(crate) keep_keyring: bool,
    /// Descriptors 3, 4, … that are handed on: how many.
    pub(crate) keep: i32,
    /// Where to wait for the start, instead of at the socket pair.
    pub(crate) gate: Option<BorrowedFd<'a>>,
    pub(crate) start_hooks: &'a [crate::hook::Ready<'a>],
    /// What those hooks read.
    pub(crate) hook_input: Option<BorrowedFd<'a>>,
}

/// Groups for [`Orders`]. In a user namespace that an ordinary user made without newgidmap they are what they are.
pub(crate) fn groups(process: &Process) -> Option<&[u32]> {
    crate::rootless::active().is_none_or(|r| r.may_set_groups).then_some(process.groups.as_slice())
}

/// argv and envp for [`Orders`]. Allocates.
pub(crate) fn arrays(prepared: &Prepared) -> (task::StringArray<'_>, task::StringArray<'_>) {
    let array = |list| task::StringArray::new(<[CString]>::iter(list).map(CString::as_c_str));
    (array(&prepared.args), array(&prepared.env))
}

/// Carries the orders out. Never returns: it executes the program, or reports and exits with 127 or 126 or 125.
pub(crate) fn run(orders: &Orders<'_>) -> ! {
    task::close_raw(orders.launcher_sync);
    let failure = match steps(orders) {
        Ok(never) => match never {},
        Err(Failure::LauncherGone) => task::exit(125),
        Err(Failure::Report(failure)) => failure,
    };
    report(orders.sync, failure);
    task::exit(125)
}

enum Failure {
    LauncherGone,
    Report(Report),
}

/// Turns an errno into a failure at `step`.
fn at(step: Step) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure::Report(Report::failed(step)(errno))
}

fn steps(orders: &Orders<'_>) -> Result<std::convert::Infallible, Failure> {
    cred::not_dumpable().map_err(at(Step::HideMemory))?;
    if orders.hold {
        await_word(orders.sync, Word::Go).map_err(|()| Failure::LauncherGone)?;
    }
    enter_namespaces(orders)?;
    let label = open_label(orders)?;
    let mut terminal = None;
    if orders.wait_for_mounts {
        report(orders.sync, Report::done(Step::Ready));
        terminal = await_word(orders.sync, Word::Go).map_err(|()| Failure::LauncherGone)?;
    }
    if orders.extra.own_mounts {
        task::unshare(libc::CLONE_NEWNS).map_err(at(Step::OwnMounts))?;
    }
    settle(orders)?;
    if let (Some(file), Some(text)) = (&label, orders.extra.label) {
        rustix::io::write(file, text.as_bytes()).map_err(at(Step::Label))?;
    }
    let mut listener = restrict(orders)?;
    if orders.init {
        signal::mask(libc::SIG_SETMASK, &signal::SignalSet::all()).map_err(at(Step::Init))?;
        match task::bare_fork().map_err(at(Step::Init))? {
            0 => {}
            child => crate::init::run(child),
        }
    }
    signal::reset(&RESET_SIGNALS);
    signal::mask(libc::SIG_SETMASK, &signal::SignalSet::empty()).map_err(at(Step::Signals))?;
    streams(orders, terminal)?;
    // Now, not on exec: while this child waits it must not hold sockets of containers that other threads launch.
    let extra = &orders.extra;
    let number = |fd: Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
    let mut kept =
        [orders.sync.as_raw_fd(), number(extra.gate), number(extra.hook_input), listener.map_or(-1, |fd| fd)];
    task::close_all_but(3 + extra.keep, &mut kept).map_err(at(Step::Descriptors))?;
    (3..3 + extra.keep).try_for_each(task::keep_on_exec).map_err(at(Step::Descriptors))?;
    let at_gate;
    let sync = match extra.gate {
        Some(gate) => {
            if let Some(errno) = missing(orders) {
                return Err(at(Step::Exec)(errno));
            }
            report(orders.sync, Report::done(Step::Prepared));
            at_gate = started(gate);
            task::close_raw(orders.sync.as_raw_fd());
            task::close_raw(gate.as_raw_fd());
            at_gate.as_fd()
        }
        None if orders.wait_for_mounts => {
            await_word(orders.sync, Word::Start).map_err(|()| Failure::LauncherGone)?;
            orders.sync
        }
        None => orders.sync,
    };
    finish(orders, sync, &mut listener).map_err(|failure| match failure {
        // Whoever started it hears why.
        Failure::Report(failure) if extra.gate.is_some() => {
            report(sync, failure);
            Failure::LauncherGone
        }
        other => other,
    })
}

/// The last steps, with the one who started it at `sync`.
fn finish(
    orders: &Orders<'_>,
    sync: BorrowedFd<'_>,
    listener: &mut Option<RawFd>,
) -> Result<std::convert::Infallible, Failure> {
    let extra = &orders.extra;
    if let Some(input) = extra.hook_input {
        for hook in extra.start_hooks {
            crate::hook::run_inside(hook, input).map_err(at(Step::StartHook))?;
        }
        task::close_raw(input.as_raw_fd());
    }
    if let (Some(filter), true) = (orders.filter, orders.no_new_privileges) {
        *listener = install(orders, filter)?;
    }
    if let Some(number) = *listener {
        report(sync, Report { step: Step::Listener, errno: None, value: number });
        await_byte(sync, Word::Taken).map_err(|()| Failure::LauncherGone)?;
    }
    Err(at(Step::Exec)(execute(orders)))
}

/// Waits at the gate until somebody says the word. Whoever goes away without it is ignored.
fn started(gate: BorrowedFd<'_>) -> OwnedFd {
    loop {
        let Ok(connection) = rustix::net::accept_with(gate, rustix::net::SocketFlags::CLOEXEC) else { continue };
        if await_byte(connection.as_fd(), Word::Start).is_ok() {
            return connection;
        }
    }
}

fn install(orders: &Orders<'_>, filter: &[Instruction]) -> Result<Option<RawFd>, Failure> {
    let answer = cred::install_filter(filter, orders.filter_flags).map_err(at(Step::Filter))?;
    Ok((orders.filter_flags & crate::seccomp::NEW_LISTENER != 0).then_some(answer))
}

/// The file that takes the label of the next program, opened while the host's /proc is in sight.
fn open_label(orders: &Orders<'_>) -> Result<Option<OwnedFd>, Failure> {
    if orders.extra.label.is_none() {
        return Ok(None);
    }
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let open = |path: &CStr| rustix::fs::open(path, flags, Mode::empty());
    let file = match open(c"/proc/thread-self/attr/apparmor/exec") {
        Err(Errno::NOENT) => open(c"/proc/thread-self/attr/exec"),
        other => other,
    };
    file.map(Some).map_err(at(Step::Label))
}

fn enter_namespaces(orders: &Orders<'_>) -> Result<(), Failure> {
    for (fd, kinds) in orders.join.iter().flatten() {
        task::setns(*fd, *kinds).map_err(at(Step::JoinNamespaces))?;
    }
    // The descriptors were opened by the launcher, whose rights count (cgroups(7)); "0" is the writer itself.
    for procs in orders.cgroups {
        rustix::io::write(procs, b"0").map_err(at(Step::JoinCgroup))?;
    }
    let kinds = orders.unshare | if orders.new_cgroup_namespace { libc::CLONE_NEWCGROUP } else { 0 };
    if kinds != 0 {
        task::unshare(kinds).map_err(at(Step::NewNamespaces))?;
    }
    Ok(())
}

fn settle(orders: &Orders<'_>) -> Result<(), Failure> {
    if let Some(name) = orders.hostname {
        rustix::system::sethostname(name.as_bytes()).map_err(at(Step::HostName))?;
    }
    if let Some(name) = orders.domainname {
        rustix::system::setdomainname(name.as_bytes()).map_err(at(Step::DomainName))?;
    }
    rustix::process::chdir(orders.prepared.cwd.as_c_str()).map_err(at(Step::WorkingDirectory))?;
    inside().map_err(at(Step::WorkingDirectoryOutside))?;
    if !orders.extra.keep_keyring {
        cred::new_session_keyring().map_err(at(Step::Keyring))?;
    }
    if let Some(persona) = orders.extra.personality {
        task::set_personality(persona).map_err(at(Step::Personality))?;
    }
    rustix::process::umask(Mode::from_raw_mode(orders.umask));
    Ok(())
}

/// The kernel shows a working directory beyond the root as "(unreachable)…".
fn inside() -> Result<(), Errno> {
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    match crate::sys::task::getcwd(&mut buffer) {
        // A path longer than any buffer is below our root: only its length is unusual.
        Ok(b'/') | Err(Errno::RANGE | Errno::NAMETOOLONG) => Ok(()),
        Ok(_) => Err(Errno::XDEV),
        Err(e) => Err(e),
    }
}

fn restrict(orders: &Orders<'_>) -> Result<Option<RawFd>, Failure> {
    let mut listener = None;
    cred::limit_bounding_set(orders.capabilities.bounding.0).map_err(at(Step::BoundingSet))?;
    if let (Some(filter), false) = (orders.filter, orders.no_new_privileges) {
        listener = install(orders, filter)?;
    }
    if orders.uid != 0 {
        cred::keep_capabilities().map_err(at(Step::KeepCapabilities))?;
    }
    cred::set_ids(orders.uid, orders.gid, orders.groups).map_err(at(Step::SetIds))?;
    cred::set_capabilities(&orders.capabilities).map_err(at(Step::Capabilities))?;
    if orders.no_new_privileges {
        cred::no_new_privileges().map_err(at(Step::NoNewPrivileges))?;
    }
    if let Some(ruleset) = orders.landlock {
        crate::landlock::enter(ruleset).map_err(at(Step::Landlock))?;
    }
    Ok(listener)
}

fn streams(orders: &Orders<'_>, to_come: Option<OwnedFd>) -> Result<(), Failure> {
    rustix::process::setsid().map_err(at(Step::Session))?;
    // A caller without standard streams of its own may have been given one of their numbers.
    let to_come = to_come.map(task::duplicate_above_stdio).transpose().map_err(at(Step::StandardStreams))?;
    let terminal = match orders.streams {
        Streams::Given(descriptors) => return task::set_stdio(descriptors).map_err(at(Step::StandardStreams)),
        Streams::Terminal(slave) => slave,
        Streams::TerminalToCome => {
            to_come.as_ref().map(AsRawFd::as_raw_fd).ok_or(Errno::BADF).map_err(at(Step::ControllingTerminal))?
        }
    };
    task::set_stdio([terminal; 3]).map_err(at(Step::StandardStreams))?;
    rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(at(Step::ControllingTerminal))
}

/// Why none of the candidates can be executed, as far as can be known before.
fn missing(orders: &Orders<'_>) -> Option<Errno> {
    use rustix::fs::{Access, AtFlags, CWD, FileType, StatxFlags, accessat, statx};
    let mut why = Errno::NOENT;
    for path in &orders.prepared.candidates {
        let path = path.as_c_str();
        let looked = accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
            .and_then(|()| statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE));
        match looked {
            Ok(facts) if FileType::from_raw_mode(facts.stx_mode.into()) == FileType::RegularFile => return None,
            Ok(_) | Err(Errno::ACCESS) => why = Errno::ACCESS,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            // Something else: the exec itself will tell.
            Err(_) => return None,
        }
    }
    Some(why)
}

/// Tries the candidates as a shell does: a file that may not be executed is remembered, a missing one is not.
fn execute(orders: &Orders<'_>) -> Errno {
    let mut denied = None;
    let mut last = Errno::NOENT;
    for path in &orders.prepared.candidates {
        last = task::execve(path.as_c_str() as &CStr, &orders.argv, &orders.envp);
        match last {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => denied = Some(last),
            other => return other,
        }
    }
    denied.unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn a_program_with_a_slash_is_taken_as_it_is() {
        assert_eq!(candidates("./run.sh", &env(&["PATH=/bin"])), ["./run.sh"]);
        assert_eq!(candidates("/bin/sh", &[]), ["/bin/sh"]);
    }

    #[test]
    fn path_comes_from_the_container_and_relative_entries_do_not_count() {
        assert_eq!(candidates("sh", &env(&["A=b", "PATH=/a::.:/b"])), ["/a/sh", "/b/sh"]);
        assert_eq!(candidates("sh", &[]).len(), 6);
    }
}
