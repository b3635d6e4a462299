//! The way from a plan to a waiting process.
//!
//! Three processes take part:
//!
//! * **The caller.** It prepares strings, filter, cgroup and sockets, and waits.
//! * **The helper**, a process that shares the caller's memory and descriptors ([`clone::aside`]) in a new mount
//!   namespace. It forks the child, writes its id maps, sets the stage with the rights of root on the host, and is gone
//!   when `create` returns. The caller's own namespaces, directory and ids are never touched.
//! * **The child**, forked by the helper as the caller's child, in new user, pid and time namespaces from birth and in
//!   its cgroup (v2). While the helper mounts, it makes its network, ipc, uts and cgroup namespaces; then see
//!   [`crate::child`].
//!
//! If any of them is killed, the others end: the child reads the end of the stream, the namespaces vanish with the last
//! process, and with them every mount.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, fchown, fstat, openat};
use rustix::io::Errno;

use crate::child::{self, ExtraOrders, Orders, Prepared, Streams};
use crate::error::{Result, errno};
use crate::seccomp::Instruction;
use crate::stage::{self, Backdrop, Stage};
use crate::sync::{Word, next_report, say};
use crate::sys::clone::{self, Fork};
use crate::sys::{cred, task};
use crate::{Namespace, Plan, SandboxError, Stdio, hook, limits};

/// What the caller prepared.
pub(crate) struct Launch<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) prepared: &'a Prepared,
    pub(crate) filter: Option<&'a [Instruction]>,
    pub(crate) landlock: Option<BorrowedFd<'a>>,
    pub(crate) cgroup: Option<&'a crate::cgroup::Cgroup>,
    pub(crate) membership: &'a crate::cgroup::Membership,
    pub(crate) stdio: Option<&'a Stdio>,
    /// The launcher's end of the socket pair.
    pub(crate) sync: BorrowedFd<'a>,
}

/// The child, from the moment it exists: the caller kills it if the launch fails later.
pub(crate) struct Launched {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) netns: Option<OwnedFd>,
    pub(crate) terminal: Option<OwnedFd>,
}

/// Launches. On an error `launched` may hold a child that must be killed.
pub(crate) fn launch(launch: &Launch<'_>, theirs: OwnedFd, launched: &mut Option<Launched>) -> Result<()> {
    let (argv, envp) = child::arrays(launch.prepared);
    clone::aside(libc::CLONE_NEWNS, move || helper(launch, theirs, argv, envp, launched))
        .map_err(SandboxError::system("make a mount namespace"))?
}

fn helper(
    launch: &Launch<'_>,
    theirs: OwnedFd,
    argv: task::StringArray<'_>,
    envp: task::StringArray<'_>,
    launched: &mut Option<Launched>,
) -> Result<()> {
    let plan = launch.plan;
    // The child inherits this directory and must not keep one of the host's (CVE-2024-21626).
    rustix::process::chdir(c"/").map_err(SandboxError::system("leave the working directory"))?;
    join_namespaces(plan)?;
    let to_join = |namespace: &Namespace| match namespace {
        Namespace::Join(path) => open_namespace(path).map(Some),
        _ => Ok(None),
    };
    let (user_to_join, time_to_join) = (to_join(&plan.namespaces.user)?, to_join(&plan.namespaces.time)?);
    make_time_namespace(plan)?;
    let hooks = &plan.extra.hooks;
    let start_hooks = hooks.start_container.iter().map(hook::Prepared::new).collect::<Result<Vec<_>>>()?;
    let start_hooks: Vec<hook::Ready<'_>> = start_hooks.iter().map(hook::Prepared::ready).collect();
    let hook_input = if start_hooks.is_empty() { None } else { Some(hook::memory_file("")?) };
    let mut orders = orders(launch, &theirs, argv, envp)?;
    orders.join = [
        time_to_join.as_ref().map(|fd| (fd.as_fd(), libc::CLONE_NEWTIME)),
        user_to_join.as_ref().map(|fd| (fd.as_fd(), libc::CLONE_NEWUSER)),
    ];
    orders.extra.start_hooks = &start_hooks;
    orders.extra.hook_input = hook_input.as_ref().map(AsFd::as_fd);
    let (pid, pidfd) = match clone::fork(birth_flags(plan), launch.membership.unified.as_ref().map(AsFd::as_fd)) {
        Ok(Fork::Child) => child::run(&orders),
        Ok(Fork::Parent(pid, pidfd)) => (pid, pidfd),
        Err(e) => return Err(SandboxError::system("clone a process into new namespaces")(e)),
    };
    drop(orders);
    drop(theirs);
    let launched = launched.insert(Launched { pid, pidfd, netns: None, terminal: None });
    if let Some(input) = &hook_input {
        let text = state(&plan.extra.hooks, "created", pid);
        hook::fill(input.as_fd(), &text).map_err(SandboxError::system("write the state for hooks"))?;
    }
    map_ids(plan, pid)?;
    limits::apply(pid, &plan.process)?;
    set_stage(launch, launched, user_to_join)
}

/// Namespaces the child is born into. The others it makes itself, while the helper works.
fn birth_flags(plan: &Plan) -> i32 {
    let new = |namespace: &Namespace, flag| if *namespace == Namespace::New { flag } else { 0 };
    let names = &plan.namespaces;
    libc::CLONE_PARENT
        | new(&names.user, libc::CLONE_NEWUSER)
        | new(&names.pid, libc::CLONE_NEWPID)
        | if plan.extra.time_offsets.is_empty() { new(&names.time, libc::CLONE_NEWTIME) } else { 0 }
}

/// With offsets, the time namespace is the helper's work: they can be written until the first process is born there.
fn make_time_namespace(plan: &Plan) -> Result<()> {
    let offsets = &plan.extra.time_offsets;
    if offsets.is_empty() {
        return Ok(());
    }
    if plan.namespaces.time != Namespace::New {
        let why = "offsets of clocks need a new time namespace".to_owned();
        return Err(SandboxError::InvalidPlan { id: plan.id.clone(), why });
    }
    task::unshare(libc::CLONE_NEWTIME).map_err(SandboxError::system("make a time namespace"))?;
    let text: String = offsets.iter().map(|o| format!("{} {} {}\n", o.clock, o.seconds, o.nanoseconds)).collect();
    let path = "/proc/self/timens_offsets";
    std::fs::write(path, text).map_err(|e| SandboxError::path("write the offsets of clocks to", path)(errno(&e)))
}

/// The container's state as hooks read it.
fn state(hooks: &crate::Hooks, status: &str, pid: i32) -> String {
    format!("{},\"status\":\"{status}\",\"pid\":{pid}}}", hooks.state)
}

fn later_flags(plan: &Plan) -> i32 {
    let new = |namespace: &Namespace, flag| if *namespace == Namespace::New { flag } else { 0 };
    let names = &plan.namespaces;
    new(&names.net, libc::CLONE_NEWNET) | new(&names.ipc, libc::CLONE_NEWIPC) | new(&names.uts, libc::CLONE_NEWUTS)
}

fn orders<'a>(
    launch: &'a Launch<'a>,
    theirs: &'a OwnedFd,
    argv: task::StringArray<'a>,
    envp: task::StringArray<'a>,
) -> Result<Orders<'a>> {
    let (plan, process) = (launch.plan, &launch.plan.process);
    let own_names = plan.namespaces.uts != Namespace::Host;
    Ok(Orders {
        prepared: launch.prepared,
        sync: theirs.as_fd(),
        launcher_sync: launch.sync.as_raw_fd(),
        join: [None, None],
        unshare: later_flags(plan),
        cgroups: &launch.membership.tasks,
        new_cgroup_namespace: plan.namespaces.cgroup == Namespace::New,
        hold: false,
        wait_for_mounts: true,
        hostname: plan.hostname.as_deref().filter(|_| own_names),
        domainname: plan.domainname.as_deref().filter(|_| own_names),
        streams: match launch.stdio {
            Some(stdio) => Streams::Given([&stdio.stdin, &stdio.stdout, &stdio.stderr].map(AsRawFd::as_raw_fd)),
            None => Streams::TerminalToCome,
        },
        umask: process.umask.unwrap_or(0o022),
        uid: process.uid,
        gid: process.gid,
        groups: child::groups(process),
        capabilities: process.capabilities,
        no_new_privileges: process.no_new_privileges,
        filter: launch.filter,
        filter_flags: plan.seccomp.as_ref().map_or(0, crate::seccomp::flags),
        landlock: launch.landlock,
        init: plan.init,
        extra: ExtraOrders {
            own_mounts: plan.extra.own_mounts,
            gate: plan.extra.gate.as_ref().map(AsFd::as_fd),
            ..crate::container::process_orders(process)?
        },
        argv,
        envp,
    })
}

/// The helper joins what the child shall share with others before the child is born, so that it inherits it. The user
/// namespace comes last and in the child: with it the rights to join the others are lost.
fn join_namespaces(plan: &Plan) -> Result<()> {
    let names = &plan.namespaces;
    for (namespace, kind) in [
        (&names.net, libc::CLONE_NEWNET),
        (&names.ipc, libc::CLONE_NEWIPC),
        (&names.uts, libc::CLONE_NEWUTS),
        (&names.cgroup, libc::CLONE_NEWCGROUP),
        (&names.pid, libc::CLONE_NEWPID),
    ] {
        if let Namespace::Join(path) = namespace {
            task::setns(open_namespace(path)?.as_fd(), kind)
                .map_err(SandboxError::path("join the namespace", path.as_path()))?;
        }
    }
    match (&names.time, &names.user) {
        (Namespace::Join(path), Namespace::New) => Err(SandboxError::InvalidPlan {
            id: plan.id.clone(),
            why: format!(
                "the time namespace `{}` cannot be joined from a new user namespace; join a user namespace too, or none",
                path.display()
            ),
        }),
        _ => Ok(()),
    }
}

fn open_namespace(path: &std::path::Path) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(SandboxError::path("open the namespace", path))
}

fn map_ids(plan: &Plan, pid: i32) -> Result<()> {
    let Some(map) = plan.id_map.as_ref().filter(|_| plan.namespaces.user == Namespace::New) else { return Ok(()) };
    let (uid, gid) = map.files();
    for (file, text) in [("uid_map", uid), ("gid_map", gid)] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, text).map_err(|e| SandboxError::path("write the id map", path)(errno(&e)))?;
    }
    Ok(())
}

fn set_stage(launch: &Launch<'_>, launched: &mut Launched, user_to_join: Option<OwnedFd>) -> Result<()> {
    let plan = launch.plan;
    let own = |kind: &str| {
        let path = format!("/proc/{}/ns/{kind}", launched.pid);
        openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(SandboxError::path("open the namespace", path))
    };
    let userns = match &plan.namespaces.user {
        Namespace::Host => None,
        Namespace::New => Some(own("user")?),
        Namespace::Join(_) => user_to_join,
    };
    let pidns = match &plan.namespaces.pid {
        Namespace::Host => None,
        Namespace::New => Some(own("pid")?),
        Namespace::Join(path) => Some(open_namespace(path)?),
    };
    if let Some(stdio) = launch.stdio {
        give_pipes(plan, stdio)?;
    }
    let sources = stage::open_sources(plan)?;
    let bundle = stage::open_bundle_root(plan)?;
    stage::cut_propagation()?;
    become_container_root(plan)?;
    // Ids that are the same on both sides need no mapped mounts, which only root can make.
    let same = plan.id_map.as_ref().is_some_and(crate::IdMap::is_identity);
    let userns = userns.as_ref().filter(|_| !same).map(AsFd::as_fd);
    let root = match bundle {
        Some(root) => root,
        None => stage::open_root(plan, userns)?,
    };

    let mut entered = false;
    let mut enter_namespaces = || {
        if !std::mem::replace(&mut entered, true) {
            await_ready(launch)?;
            let kinds = later_flags(plan);
            if kinds != 0 {
                task::setns(launched.pidfd.as_fd(), kinds)
                    .map_err(SandboxError::system("look into the container's namespaces"))?;
            }
        }
        Ok(())
    };
    let backdrop = Backdrop {
        cgroup: launch.cgroup,
        userns,
        pidns: pidns.as_ref().map(AsFd::as_fd),
        enter_namespaces: &mut enter_namespaces,
    };
    let mut stage = Stage::new(plan, root, sources, backdrop)?;
    stage.set()?;
    let netns = own("net");
    let hooks = &plan.extra.hooks;
    if !hooks.create_runtime.is_empty() || !hooks.create_container.is_empty() {
        stage.enter_namespaces()?;
        run_hooks(hooks, launched.pid, pidns.as_ref().map(AsFd::as_fd))?;
    }
    stage.pivot()?;
    stage.root_propagation()?;
    let terminal = stage.take_terminal();
    let root = stage.into_root();
    enter_namespaces()?;
    launched.netns = Some(netns?);
    if plan.extra.own_mounts {
        // The child copies this namespace: nothing of the host's may be left in it.
        stage::drop_old_root(root.as_fd())?;
    }
    say(launch.sync, Word::Go, terminal.as_ref().map(|t| t.slave.as_fd()))?;
    launched.terminal = terminal.map(|t| t.master);
    if plan.extra.own_mounts {
        return Ok(());
    }
    // The child goes on meanwhile: its root is the container's since the pivot.
    stage::drop_old_root(root.as_fd())
}

/// createRuntime hooks in the caller's namespaces, createContainer hooks in the container's.
fn run_hooks(hooks: &crate::Hooks, pid: i32, pidns: Option<BorrowedFd<'_>>) -> Result<()> {
    let text = state(hooks, "creating", pid);
    // The caller is the parent of the helper that we are, and waits for us.
    let caller = rustix::process::getppid()
        .ok_or(Errno::SRCH)
        .and_then(|caller| rustix::process::pidfd_open(caller, rustix::process::PidfdFlags::empty()));
    let caller = caller.map_err(SandboxError::system("find the caller's namespaces"))?;
    hook::run_all("createRuntime", &hooks.create_runtime, &text, hook::Place::Of(caller.as_fd()))?;
    if let (Some(pidns), false) = (pidns, hooks.create_container.is_empty()) {
        task::setns(pidns, libc::CLONE_NEWPID).map_err(SandboxError::system("look into the pid namespace"))?;
    }
    hook::run_all("createContainer", &hooks.create_container, &text, hook::Place::Here)
}

/// Waits until the child has made its namespaces, or says why it could not.
fn await_ready(launch: &Launch<'_>) -> Result<()> {
    match next_report(launch.sync)? {
        Some(report) if report.errno.is_none() => Ok(()),
        Some(report) => Err(report.into_error(&launch.prepared.program)),
        None => Err(SandboxError::Died),
    }
}

/// From here on the helper makes files as the container's root, with all its capabilities.
fn become_container_root(plan: &Plan) -> Result<()> {
    rustix::process::umask(Mode::empty());
    let Some(map) = plan.id_map.as_ref().filter(|_| plan.namespaces.user != Namespace::Host) else { return Ok(()) };
    let unmapped = || SandboxError::InvalidPlan {
        id: plan.id.clone(),
        why: "the id map has no place for user and group 0".to_owned(),
    };
    let (uid, gid) = (map.host_uid(0).ok_or_else(unmapped)?, map.host_gid(0).ok_or_else(unmapped)?);
    cred::no_setuid_fixup().map_err(SandboxError::system("keep capabilities across a change of ids"))?;
    cred::set_fs_ids(uid, gid);
    Ok(())
}

/// Pipes belong to whoever made them; the container's user must be able to open /dev/stdout again.
fn give_pipes(plan: &Plan, stdio: &Stdio) -> Result<()> {
    let map = plan.id_map.as_ref().filter(|_| plan.namespaces.user != Namespace::Host);
    give_pipes_to(map, &plan.process, stdio)
}

pub(crate) fn give_pipes_to(map: Option<&crate::IdMap>, process: &crate::Process, stdio: &Stdio) -> Result<()> {
    let uid = map.map_or(Some(process.uid), |m| m.host_uid(process.uid));
    let Some(uid) = uid else { return Ok(()) };
    for fd in [&stdio.stdin, &stdio.stdout, &stdio.stderr] {
        let facts = fstat(fd).map_err(SandboxError::system("look at the standard streams"))?;
        if FileType::from_raw_mode(facts.st_mode) == FileType::Fifo && facts.st_uid != uid {
            match fchown(fd, Some(Uid::from_raw(uid)), None::<Gid>) {
                Ok(()) | Err(Errno::PERM) => {}
                Err(e) => return Err(SandboxError::system("give a pipe to the container's user")(e)),
            }
        }
    }
    Ok(())
}
