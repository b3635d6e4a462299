//! Without root: the user namespace in which an ordinary user is root.
//!
//! [`enter`] makes the calling process root of a user namespace of its user's, with a mount namespace of its own. From
//! there on most of this room works as it does for root: the containers get user namespaces *below* that one, and the
//! mounts of a container belong to it, out of the container's reach. What the kernel keeps from such a root is asked for
//! with [`active`]: idmapped mounts, links of the host's network, groups that nobody delegated.
//!
//! All processes of a user that live at a time share one namespace, so that `exec` has rights over what `run` made.
//! Nobody stays behind to hold it: each process that is in it registers, and who comes later joins any that lives.
//!
//! Sources: user_namespaces(7), subuid(5), newuidmap(1).

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::{Result, errno};
use crate::sys::clone::{self, Fork};
use crate::sys::{mount, namespace, task};
use crate::{IdMap, IdRange, SandboxError, process};

/// What is known about the namespace that [`enter`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootless {
    /// The host's id of the user who is root in it.
    pub host_uid: u32,
    /// Every id that there is in it, mapped to itself: the map of a container's user namespace.
    pub id_map: IdMap,
    /// Whether processes may change their supplementary groups. Not so in a namespace that was made without newgidmap.
    pub may_set_groups: bool,
}

impl Rootless {
    /// Whether there is no id but the user's own: files cannot be given to anybody else.
    pub fn single_id(&self) -> bool {
        self.id_map.uid.iter().map(|r| u64::from(r.count)).sum::<u64>() <= 1
    }
}

/// What this process lacks of root's rights; `None` for root. Looked up once, so not to be called before [`enter`].
pub fn active() -> Option<&'static Rootless> {
    static ACTIVE: OnceLock<Option<Rootless>> = OnceLock::new();
    ACTIVE.get_or_init(look).as_ref()
}

/// Whether this process is root of a namespace that [`enter`] could have made, with nothing remembered: for before it.
pub fn in_namespace_of_a_user() -> bool {
    look().is_some()
}

fn look() -> Option<Rootless> {
    let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let (uid, gid) = (parse_map(&read("uid_map")), parse_map(&read("gid_map")));
    let whole = |map: &[IdRange]| matches!(map, [IdRange { inside: 0, outside: 0, count: u32::MAX }]);
    // Root of a container that owns its network does everything as root does.
    if uid.is_empty() || whole(&uid) || !rustix::process::geteuid().is_root() || owns_network() {
        return None;
    }
    Some(Rootless {
        host_uid: uid.iter().find(|r| r.inside == 0).map_or(0, |r| r.outside),
        id_map: IdMap { uid: identity(&uid), gid: identity(&gid) },
        may_set_groups: read("setgroups").trim() != "deny",
    })
}

/// The kernel tells who owns a namespace only to its owners and those above.
fn owns_network() -> bool {
    let open = openat(CWD, c"/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    open.and_then(|fd| namespace::owner(fd.as_fd())).is_ok()
}

/// Each range to itself. The ranges stay as they are: the kernel takes no range that spans two of its parent's.
fn identity(ranges: &[IdRange]) -> Vec<IdRange> {
    ranges.iter().map(|r| IdRange { outside: r.inside, ..*r }).collect()
}

/// Lines of `inside outside count` (user_namespaces(7)).
fn parse_map(text: &str) -> Vec<IdRange> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(IdRange { inside: next()?, outside: next()?, count: next()? })
    };
    text.lines().filter_map(range).collect()
}

/// Makes this process root of a user namespace, in a mount namespace of its own: of the one that other processes of this
/// user are in, else of a new one. `run` is the directory for volatile state. The process must have a single thread.
///
/// # Errors
/// [`SandboxError::Rootless`] says what the machine lacks.
pub fn enter(run: &Path) -> Result<()> {
    let dir = run.join("userns");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|e| SandboxError::path("make the directory", dir.as_path())(errno(&e)))?;
    let file = dir.join("lock");
    let lock = openat(CWD, &file, OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))
        .map_err(SandboxError::path("open", file.as_path()))?;
    rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive))
        .map_err(SandboxError::path("lock", file.as_path()))?;
    match living(&dir) {
        Some(userns) => task::setns(userns.as_fd(), libc::CLONE_NEWUSER)
            .map_err(SandboxError::system("join the user namespace of your other containers"))?,
        None => make()?,
    }
    task::unshare(libc::CLONE_NEWNS).map_err(|e| refused("cannot make a mount namespace", e))?;
    // What the host mounts later is seen here, and nothing of ours there.
    mount::mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_SLAVE, c"")
        .map_err(|e| refused("cannot set the propagation of mounts", e))?;
    register(run);
    Ok(())
}

/// How our user namespace maps to the one of whoever started us, if [`enter`] made it for this very process: users, groups.
/// `None` for root, and for a process whose caller had put it there.
pub fn entered(run: &Path) -> Option<(Vec<IdRange>, Vec<IdRange>)> {
    let pid = i32::try_from(std::process::id()).ok()?;
    let name = format!("{pid}-{}", process::start_time(pid)?);
    let read = |file: &str| parse_map(&fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default());
    run.join("userns").join(name).exists().then(|| (read("uid_map"), read("gid_map")))
}

/// Says that this process is in the namespace that [`enter`] chose, so that others can join it there. For processes that
/// outlive the one that entered.
pub fn register(run: &Path) {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    if let Some(start) = process::start_time(pid) {
        let _ = fs::write(run.join("userns").join(format!("{pid}-{start}")), b"");
    }
}

/// Says that the process `pid` is in a user namespace right below ours: it keeps ours alive when all of us have gone. For
/// containers whose maker does not wait for them.
pub fn register_below(run: &Path, pid: i32) {
    if let Some(start) = process::start_time(pid) {
        let _ = fs::write(run.join("userns").join(format!("{pid}-{start}{BELOW}")), b"");
    }
}

/// Marks the file of a process in a namespace below.
const BELOW: &str = "-below";

/// The namespace of a registered process that lives. Those that do not are forgotten.
fn living(dir: &Path) -> Option<OwnedFd> {
    let mut found = None;
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let name = entry.file_name();
        let Some((pid, start)) = name.to_str().and_then(|n| n.split_once('-')) else { continue };
        // A container's process is in a namespace below.
        let (start, below) = start.strip_suffix(BELOW).map_or((start, false), |start| (start, true));
        let (Ok(pid), Ok(start)) = (pid.parse::<i32>(), start.parse::<u64>()) else { continue };
        let alive = || process::start_time(pid) == Some(start);
        if !alive() {
            let _ = fs::remove_file(entry.path());
            continue;
        }
        let path = format!("/proc/{pid}/ns/user");
        let opened = openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|fd| if below { namespace::parent(fd.as_fd()) } else { Ok(fd) });
        // After opening, too: the number may have been given to another process in between.
        found = found.or(opened.ok().filter(|_| alive()));
    }
    found
}

/// Moves this process into a new user namespace. A child that stays outside writes the map, which takes the set-user-id
/// programs of the package `uidmap`.
fn make() -> Result<()> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let Some(mapper) = Mapper::find(uid, gid) else {
        task::unshare(libc::CLONE_NEWUSER).map_err(|e| refused("cannot make a user namespace", e))?;
        let files = [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("0 {uid} 1\n")),
            ("gid_map", format!("0 {gid} 1\n")),
        ];
        return files.iter().try_for_each(|(file, text)| {
            fs::write(format!("/proc/self/{file}"), text)
                .map_err(|e| refused("cannot become root of a user namespace", errno(&e)))
        });
    };
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(SandboxError::system("make a pipe"));
    let ((go, give_go), (answer, give_answer)) = (pipe()?, pipe()?);
    let own = std::process::id();
    let (_, child) = match clone::fork(0, None).map_err(SandboxError::system("fork"))? {
        Fork::Child => {
            task::close_raw(give_go.as_raw_fd());
            if matches!(rustix::io::read(&go, &mut [0u8; 1]), Ok(1)) {
                let text = mapper.map(own).err().unwrap_or_default();
                let _ = rustix::io::write(&give_answer, text.as_bytes());
            }
            task::exit(0)
        }
        Fork::Parent(pid, pidfd) => (pid, pidfd),
    };
    drop(give_answer);
    let made = task::unshare(libc::CLONE_NEWUSER);
    if made.is_ok() {
        let _ = rustix::io::write(&give_go, b"!");
    }
    drop(give_go);
    let mut why = String::new();
    let _ = std::io::Read::read_to_string(&mut fs::File::from(answer), &mut why);
    let _ = task::wait_pidfd(child.as_fd(), true);
    made.map_err(|e| refused("cannot make a user namespace", e))?;
    if why.is_empty() { Ok(()) } else { Err(SandboxError::Rootless { why }) }
}

/// newuidmap and newgidmap, with what they shall do.
struct Mapper {
    programs: [PathBuf; 2],
    ids: [u32; 2],
    ranges: [Vec<(u32, u32)>; 2],
}

impl Mapper {
    /// `None` where the programs or the ranges are missing.
    fn find(uid: u32, gid: u32) -> Option<Mapper> {
        let programs = [program("newuidmap")?, program("newgidmap")?];
        let name = user_name(uid);
        let ranges = ["/etc/subuid", "/etc/subgid"].map(|file| {
            sub_ids(&fs::read_to_string(file).unwrap_or_default(), name.as_deref().unwrap_or_default(), uid)
        });
        (!ranges.iter().any(Vec::is_empty)).then_some(Mapper { programs, ids: [uid, gid], ranges })
    }

    fn map(&self, pid: u32) -> Result<(), String> {
        for ((program, own), ranges) in self.programs.iter().zip(self.ids).zip(&self.ranges) {
            let mut command = Command::new(program);
            command.args([pid.to_string(), "0".to_owned(), own.to_string(), "1".to_owned()]);
            let mut inside = 1u32;
            for (first, count) in ranges {
                let Some(next) = inside.checked_add(*count) else { break };
                command.args([inside.to_string(), first.to_string(), count.to_string()]);
                inside = next;
            }
            let output = command.output().map_err(|e| format!("cannot run `{}`: {e}", program.display()))?;
            if !output.status.success() {
                return Err(format!(
                    "`{}` refused: {}; does /etc/subuid or /etc/subgid overlap with other lines, or is the program not set-user-id root?",
                    program.display(),
                    String::from_utf8_lossy(&output.stderr).trim()
                ));
            }
        }
        Ok(())
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/bin", "/bin", "/usr/sbin"].map(PathBuf::from));
    places.filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|p| p.is_file())
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let local = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    // Users of a directory service are in no local file.
    local.or_else(|| std::env::var("USER").ok())
}

/// The ranges of one user, by name or number (subuid(5)).
fn sub_ids(text: &str, name: &str, uid: u32) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.split(':');
        let who = fields.next()?.trim();
        let mine = (!name.is_empty() && who == name) || who.parse() == Ok(uid);
        let (first, count) = (fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?);
        (mine && count > 0).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

/// The kernel's refusal, with the setting that is behind it where one is.
fn refused(what: &str, errno: Errno) -> SandboxError {
    let setting = |path: &str| fs::read_to_string(format!("/proc/sys/{path}")).unwrap_or_default().trim().to_owned();
    let hint = if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "AppArmor keeps user namespaces from ordinary users here: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give stockade an AppArmor profile with `userns,`"
    } else if setting("kernel/unprivileged_userns_clone") == "0" {
        "user namespaces are switched off for ordinary users: `sysctl kernel.unprivileged_userns_clone=1`"
    } else if setting("user/max_user_namespaces") == "0" {
        "user namespaces are switched off: `sysctl user.max_user_namespaces=15000`"
    } else {
        "is this a container whose system call filter forbids user namespaces? Run it as root, or outside"
    };
    SandboxError::Rootless { why: format!("{what}: {}; {hint}", std::io::Error::from(errno)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_user_are_found_by_name_and_number() {
        let text = "ann:100000:65536\nbob:165536:65536\n1000:300000:10\nbad\nann:x:1\nann:7:0\n";
        assert_eq!(sub_ids(text, "ann", 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(sub_ids(text, "bob", 1001), [(165_536, 65_536)]);
        assert!(sub_ids(text, "", 5).is_empty());
    }

    #[test]
    fn every_range_is_mapped_to_itself() {
        let map = parse_map("         0       1000          1\n         1     100000      65535\n  70000 1 2\n");
        assert_eq!(map.len(), 3);
        assert_eq!(
            identity(&map),
            [
                IdRange { inside: 0, outside: 0, count: 1 },
                IdRange { inside: 1, outside: 1, count: 65_535 },
                IdRange { inside: 70_000, outside: 70_000, count: 2 }
            ]
        );
        assert!(IdMap { uid: identity(&map), gid: Vec::new() }.is_identity());
    }

    #[test]
    fn a_dead_process_is_not_joined_and_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("1-0"), b"").unwrap();
        fs::write(dir.path().join("lock"), b"").unwrap();
        assert!(living(dir.path()).is_none());
        assert!(!dir.path().join("1-0").exists() && dir.path().join("lock").exists());
        let own = std::process::id() as i32;
        let start = process::start_time(own).unwrap();
        fs::write(dir.path().join(format!("{own}-{start}")), b"").unwrap();
        assert!(living(dir.path()).is_some());
    }
}
