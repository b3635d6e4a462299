//! A container process from plan to exit: `create`, `start`, `exec`, `wait`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::termios::Winsize;

use crate::cgroup::{Cgroup, Membership, Request};
use crate::child::{self, ExtraOrders, Orders, Prepared, Streams};
use crate::error::Result;
use crate::gate::{TakeListener, executed};
use crate::launch::{Launch, Launched, give_pipes_to, launch};
use crate::seccomp::Instruction;
use crate::stage;
use crate::sync::{Report, Step, Word, next_report, pair, say};
use crate::sys::clone::{self, Fork};
use crate::sys::{signal, task};
use crate::{IdMap, Namespace, Plan, Process, SandboxError, SeccompPolicy, Stdio, caps, landlock, limits, seccomp};

/// A container whose first process exists, set up to the exec, and waits for [`Created::start`].
/// Dropped without a start, the process is killed and reaped, and its cgroup removed.
#[derive(Debug)]
pub struct Created {
    child: Option<Child>,
    sync: OwnedFd,
    netns: OwnedFd,
    program: String,
    /// It waits at a gate, not for us.
    gated: bool,
}

/// A process that runs: the container's first or one of [`exec`]. It is a child of the caller; dropping this leaves it
/// alone.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Whether this is the container's first process, to which any memory kill in its cgroup counts.
    first: bool,
    status: Option<ExitStatus>,
}

#[derive(Debug)]
struct Child {
    pid: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
    cgroup: Option<Cgroup>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    /// Exit code; 128 + n when signal n killed it.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The kernel's out-of-memory killer struck in its cgroup. Not looked up when the process ended with code 0.
    pub oom_killed: bool,
}

/// A running container, for [`exec`].
#[derive(Debug, Clone)]
pub struct Target {
    /// The container's first process, by its id on the host.
    pub pid: i32,
    /// The container's id mapping, when it has a user namespace of its own.
    pub id_map: Option<IdMap>,
    /// Its cgroup path, as in [`crate::CgroupPlan::path`]; empty: stay in the caller's.
    pub cgroup: String,
    /// Filter for the new process.
    pub seccomp: Option<SeccompPolicy>,
    /// Whether the container is in a Landlock domain. Kept for the record: see [`exec`].
    pub landlock: bool,
}

/// Sets up everything of `plan` up to the exec; the process then waits for [`Created::start`].
///
/// `stdio` may be `None` only when the process has a terminal. On an error nothing is left behind: no process, no mount,
/// no cgroup. Needs root. Callers with several threads are served too: the new process makes no use of locks that
/// another thread may hold.
pub fn create(plan: &Plan, stdio: Option<Stdio>) -> Result<Created> {
    check(plan, stdio.is_some())?;
    let prepared = Prepared::new(&plan.id, &plan.process)?;
    let filter = compile(plan.seccomp.as_ref())?;
    let keep = keep(&plan.process)?;
    let ruleset =
        if plan.landlock { landlock::ruleset(&plan.namespaces, plan.process.capabilities.bounding)? } else { None };
    let stdio = stdio.map(above_stdio).transpose()?;
    let (ours, theirs) = pair()?;
    // The numbers of descriptors that are handed on must not be taken by ours.
    let theirs = task::duplicate_above(theirs, keep).map_err(SandboxError::system("duplicate a socket"))?;
    let cgroup = (!plan.cgroup.path.is_empty()).then(|| Cgroup::open(&plan.cgroup.path));
    let membership = match &cgroup {
        Some(cgroup) => cgroup.create_with(&group_request(plan))?,
        None => Membership::default(),
    };
    let mut launched = None;
    let mut result = launch(
        &Launch {
            plan,
            prepared: &prepared,
            filter: filter.as_deref(),
            landlock: ruleset.as_ref().map(AsFd::as_fd),
            cgroup: cgroup.as_ref(),
            membership: &membership,
            stdio: stdio.as_ref(),
            sync: ours.as_fd(),
        },
        theirs,
        &mut launched,
    );
    let gated = plan.extra.gate.is_some();
    if result.is_ok() && gated {
        // All that can fail before the exec has been done when `create` returns.
        result = next_report(ours.as_fd()).and_then(|report| match report {
            Some(Report { step: Step::Prepared, errno: None, .. }) => Ok(()),
            Some(report) => Err(report.into_error(&prepared.program)),
            None => Err(SandboxError::Died),
        });
    }
    match (result, launched) {
        (Ok(()), Some(Launched { pid, pidfd, netns: Some(netns), terminal })) => Ok(Created {
            child: Some(Child { pid, pidfd, terminal, cgroup }),
            sync: ours,
            netns,
            program: prepared.program,
            gated,
        }),
        (result, launched) => {
            if let Some(launched) = launched {
                Child { pid: launched.pid, pidfd: launched.pidfd, terminal: None, cgroup }.destroy();
            } else if let Some(cgroup) = cgroup {
                let _ = cgroup.remove();
            }
            Err(result.err().unwrap_or(SandboxError::Died))
        }
    }
}

/// Contradictions that would surface as obscure errors later.
fn check(plan: &Plan, has_stdio: bool) -> Result<()> {
    let invalid = |why: &str| Err(SandboxError::InvalidPlan { id: plan.id.clone(), why: why.to_owned() });
    if has_stdio == plan.process.terminal.is_some() {
        return invalid("a process has either standard streams or a terminal");
    }
    match (&plan.namespaces.user, &plan.id_map) {
        (Namespace::New | Namespace::Join(_), None) => return invalid("a user namespace needs an id map"),
        (Namespace::Host, Some(_)) => return invalid("an id map needs a user namespace"),
        _ => {}
    }
    for (name, value) in &plan.sysctls {
        if !stage::sysctl_is_namespaced(name, &plan.namespaces) {
            return Err(SandboxError::Sysctl { name: name.clone(), value: value.clone(), source: Errno::PERM });
        }
    }
    match plan.process.rlimits.iter().find(|l| limits::resource(&l.name).is_none()) {
        Some(limit) => invalid(&format!("there is no resource limit `{}`; see getrlimit(2)", limit.name)),
        None => Ok(()),
    }
}

fn group_request(plan: &Plan) -> Request<'_> {
    Request {
        limits: &plan.cgroup.limits,
        confine_devices: plan.extra.device_rules.is_none() && confines_devices(plan),
        devices: &plan.devices,
        rules: plan.extra.device_rules.as_deref(),
        settings: &plan.extra.settings,
    }
}

/// How many descriptors after the standard streams are handed on.
fn keep(process: &Process) -> Result<i32> {
    i32::try_from(process.extra.keep_descriptors).ok().filter(|keep| *keep < 4096).ok_or_else(|| {
        let what = "preserve-fds".to_owned();
        SandboxError::Unsupported { what, why: "at most 4095 descriptors can be handed on".to_owned() }
    })
}

/// A container in the host's user namespace is kept from devices by its cgroup, unless it has every capability
/// (`--privileged`).
fn confines_devices(plan: &Plan) -> bool {
    plan.namespaces.user == Namespace::Host && plan.process.capabilities.bounding != caps::ALL
}

fn compile(policy: Option<&SeccompPolicy>) -> Result<Option<Vec<Instruction>>> {
    policy.map(seccomp::compile).transpose()
}

/// Descriptors 0, 1 and 2 are targets in the child; sources must be elsewhere.
fn above_stdio(stdio: Stdio) -> Result<Stdio> {
    let up = |fd| task::duplicate_above_stdio(fd).map_err(SandboxError::system("duplicate a standard stream"));
    Ok(Stdio { stdin: up(stdio.stdin)?, stdout: up(stdio.stdout)?, stderr: up(stdio.stderr)? })
}

/// Runs `process` inside a running container. Returns once the program has been executed.
///
/// The new process joins all namespaces and the cgroup of the container and gets the restrictions of `process` and
/// `target`, except a Landlock domain: it would be a domain beside the container's, and the kernel would refuse it to
/// signal or to look at the container's processes.
pub fn exec(target: &Target, process: &Process, stdio: Option<Stdio>) -> Result<Running> {
    exec_with(target, process, stdio, None)
}

/// As [`exec`]; `listener` takes the descriptor of the filter, if that asks user space.
pub fn exec_with(
    target: &Target,
    process: &Process,
    stdio: Option<Stdio>,
    listener: Option<TakeListener<'_>>,
) -> Result<Running> {
    if stdio.is_some() == process.terminal.is_some() {
        let why = "a process has either standard streams or a terminal".to_owned();
        return Err(SandboxError::InvalidPlan { id: format!("exec in {}", target.pid), why });
    }
    let prepared = Prepared::new(&format!("exec in {}", target.pid), process)?;
    let filter = compile(target.seccomp.as_ref())?;
    let stdio = stdio.map(above_stdio).transpose()?;
    if let Some(stdio) = &stdio {
        give_pipes_to(target.id_map.as_ref(), process, stdio)?;
    }
    let pidfd = crate::process::open_pid(target.pid)?;
    let terminal = process.terminal.map(|size| open_terminal(target, process, size)).transpose()?;
    let cgroup = (!target.cgroup.is_empty()).then(|| Cgroup::of(&target.cgroup, target.pid));
    let membership = cgroup.as_ref().map_or_else(|| Ok(Membership::default()), Cgroup::membership)?;
    let (ours, theirs) = pair()?;
    let theirs = task::duplicate_above(theirs, keep(process)?).map_err(SandboxError::system("duplicate a socket"))?;
    let (argv, envp) = child::arrays(&prepared);
    let has_limits = limits::any(process);
    let user = if target.id_map.is_some() { libc::CLONE_NEWUSER } else { 0 };
    let orders = Orders {
        prepared: &prepared,
        sync: theirs.as_fd(),
        launcher_sync: ours.as_raw_fd(),
        join: [Some((pidfd.as_fd(), user | joined(target.pid))), None],
        unshare: 0,
        cgroups: &membership.tasks,
        new_cgroup_namespace: false,
        hold: has_limits,
        wait_for_mounts: false,
        hostname: None,
        domainname: None,
        streams: match (&stdio, &terminal) {
            (_, Some(terminal)) => Streams::Terminal(terminal.slave.as_raw_fd()),
            (Some(s), None) => Streams::Given([&s.stdin, &s.stdout, &s.stderr].map(AsRawFd::as_raw_fd)),
            (None, None) => Streams::TerminalToCome,
        },
        umask: process.umask.unwrap_or(0o022),
        uid: process.uid,
        gid: process.gid,
        groups: child::groups(process),
        capabilities: process.capabilities,
        no_new_privileges: process.no_new_privileges,
        filter: filter.as_deref(),
        filter_flags: target.seccomp.as_ref().map_or(0, seccomp::flags),
        landlock: None,
        init: false,
        extra: process_orders(process)?,
        argv,
        envp,
    };
    let (pid, child_pidfd) = clone::aside(0, || enter(target, &pidfd, &membership, &orders))
        .map_err(SandboxError::system("start a helper"))??;
    drop(orders);
    drop((theirs, stdio));
    let child = Child { pid, pidfd: child_pidfd, terminal: terminal.map(|t| t.master), cgroup };
    let go_on = || {
        if has_limits {
            limits::apply(pid, process)?;
            say(ours.as_fd(), Word::Go, None)?;
        }
        executed(ours.as_fd(), &prepared.program, child.pidfd.as_fd(), listener)
    };
    go_on().inspect_err(|_| child.kill())?;
    Ok(Running { child, first: false, status: None })
}

/// Everything but user and pid: the pid namespace is entered by being born there.
const JOINED: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWTIME;

/// [`JOINED`]. Without root those that are ours already are left out: nobody may enter a namespace of the host's again.
fn joined(pid: i32) -> i32 {
    if crate::rootless::active().is_none() {
        return JOINED;
    }
    let identity = |process: &str, kind: &str| {
        rustix::fs::stat(format!("/proc/{process}/ns/{kind}").as_str()).ok().map(|facts| (facts.st_dev, facts.st_ino))
    };
    let kinds = [
        ("mnt", libc::CLONE_NEWNS),
        ("net", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("cgroup", libc::CLONE_NEWCGROUP),
        ("time", libc::CLONE_NEWTIME),
    ];
    let pid = pid.to_string();
    let same = |kind: &str| identity("self", kind).is_some_and(|ours| identity(&pid, kind) == Some(ours));
    kinds.iter().filter(|(kind, _)| !same(kind)).fold(0, |flags, (_, flag)| flags | flag)
}

/// In a helper: forks the new process into the target's pid namespace.
fn enter(target: &Target, pidfd: &OwnedFd, membership: &Membership, orders: &Orders<'_>) -> Result<(i32, OwnedFd)> {
    task::setns(pidfd.as_fd(), libc::CLONE_NEWPID).map_err(|e| match e {
        Errno::SRCH => SandboxError::NotRunning { pid: target.pid },
        e => SandboxError::system("enter the container's pid namespace")(e),
    })?;
    match clone::fork(libc::CLONE_PARENT, membership.unified.as_ref().map(AsFd::as_fd)) {
        Ok(Fork::Child) => child::run(orders),
        Ok(Fork::Parent(pid, pidfd)) => Ok((pid, pidfd)),
        // The pid namespace takes no new process when its first has ended; a cgroup may be at its limit.
        Err(Errno::NOMEM) => Err(SandboxError::NotRunning { pid: target.pid }),
        Err(e) => Err(SandboxError::system("clone a process into the container")(e)),
    }
}

fn open_terminal(target: &Target, process: &Process, (columns, rows): (u16, u16)) -> Result<stage::Terminal> {
    let path = format!("/proc/{}/root", target.pid);
    let root = openat(CWD, path.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|_| SandboxError::NotRunning { pid: target.pid })?;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let owner = match &target.id_map {
        Some(map) => map.host_uid(process.uid),
        None => Some(process.uid),
    };
    stage::terminal_in(root.as_fd(), size, owner).map_err(SandboxError::system("open a terminal in the container"))
}

/// The part of the extra orders that a process brings.
pub(crate) fn process_orders(process: &Process) -> Result<ExtraOrders<'_>> {
    Ok(ExtraOrders {
        personality: process.extra.personality,
        label: process.extra.label.as_deref(),
        keep_keyring: process.extra.keep_keyring,
        keep: keep(process)?,
        ..ExtraOrders::default()
    })
}

impl Child {
    /// Kills and reaps.
    fn kill(&self) {
        let _ = signal::send(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = task::wait_pidfd(self.pidfd.as_fd(), true);
    }

    /// Kills, reaps, and removes the cgroup.
    fn destroy(self) {
        self.kill();
        if let Some(cgroup) = &self.cgroup {
            let _ = cgroup.remove();
        }
    }
}

impl Created {
    /// Process id on the host.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(-1, |c| c.pid)
    }

    /// A pidfd of the process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        // The child is there until `start` or `abort` consumes self.
        self.child.as_ref().map_or(self.netns.as_fd(), |c| c.pidfd.as_fd())
    }

    /// The network namespace of the process.
    pub fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    /// The master side of the pseudo-terminal, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.child.as_mut()?.terminal.take()
    }

    /// Runs the program; returns when that has happened.
    ///
    /// Errors: [`SandboxError::Exec`] when the program cannot be executed (see [`SandboxError::is_not_found`]),
    /// [`SandboxError::Child`] when one of the last steps before fails. The process is gone then, and its cgroup.
    pub fn start(self) -> Result<Running> {
        self.start_with(None)
    }

    /// As [`Created::start`]; `listener` takes the descriptor of the filter, if that asks user space.
    pub fn start_with(mut self, listener: Option<TakeListener<'_>>) -> Result<Running> {
        if self.gated {
            let what = "a container at a gate".to_owned();
            return Err(SandboxError::Unsupported { what, why: "it is started through the gate".to_owned() });
        }
        say(self.sync.as_fd(), Word::Start, None).or_else(|e| {
            // It may have said why before it died.
            executed(self.sync.as_fd(), &self.program, self.pidfd(), None).and(Err(e))
        })?;
        executed(self.sync.as_fd(), &self.program, self.pidfd(), listener)?;
        match self.child.take() {
            Some(child) => Ok(Running { child, first: true, status: None }),
            None => Err(SandboxError::Died),
        }
    }

    /// Leaves the process at its gate, to be started by whoever opens it; its id on the host. The process becomes a
    /// child of the nearest reaper when the caller ends.
    pub fn leave(mut self) -> i32 {
        self.child.take().map_or(-1, |child| child.pid)
    }

    /// Kills and reaps the process and removes its cgroup.
    pub fn abort(self) {
        drop(self);
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.destroy();
        }
    }
}

impl Running {
    /// Process id on the host.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// A pidfd: readable when the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.child.pidfd.as_fd()
    }

    /// The master side of the pseudo-terminal, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.child.terminal.take()
    }

    /// The exit status if the process has ended. May be asked again.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.ended(false)
    }

    /// Waits for the end. May be asked again.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.ended(true)?.ok_or(SandboxError::NotRunning { pid: self.child.pid })
    }

    fn ended(&mut self, block: bool) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let ended = task::wait_pidfd(self.child.pidfd.as_fd(), block)
                .map_err(SandboxError::system("wait for the container's process"))?;
            self.status = ended.map(|(code, signal)| {
                let suspect = if self.first { code != 0 } else { signal == Some(libc::SIGKILL) };
                let cgroup = self.child.cgroup.as_ref().filter(|_| suspect);
                ExitStatus { code, signal, oom_killed: cgroup.is_some_and(|c| c.oom_kills() > 0) }
            });
        }
        Ok(self.status)
    }
}
