//! The minimal /dev, further devices, and the terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchown, makedev, mkdirat, mknodat, openat2, stat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::target::{Links, Want, normal};
use super::{Stage, fd_path, host_path};
use crate::error::Result;
use crate::sys::mount;
use crate::{Device, Mount, MountFlags, SandboxError};

pub(super) const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Nodes every container has: name, major, minor. All of them are harmless to share (mem(4), random(4), tty(4)).
pub(super) const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

pub(super) const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Group that owns terminals in nearly every distribution; write(1) relies on it.
const TTY_GROUP: u32 = 5;

/// A pseudo-terminal of the container.
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

impl Stage<'_> {
    /// A tmpfs with the standard nodes. The helper is root on the host, so the nodes are made, not bound: one call
    /// each. They belong to the container's root, as everything that the helper makes.
    pub(super) fn dev(&mut self, mount: &Mount, shm_bytes: u64) -> Result<()> {
        let place = self.simple(mount, "tmpfs", "dev", "size=64m,mode=755")?;
        drop(place);
        self.anchor(mount, |magic| magic == TMPFS_MAGIC, "tmpfs")?;
        let Some(anchor) = self.anchors.last() else { return Ok(()) };
        let dev = anchor.root.as_fd();
        furnish(dev).map_err(|source| SandboxError::Mount {
            kind: "device nodes".to_owned(),
            target: mount.target.clone(),
            source,
        })?;
        let tty = self.host_gid(TTY_GROUP).map_or_else(String::new, |gid| format!(",gid={gid}"));
        let noexec = MountFlags { nosuid: true, noexec: true, ..MountFlags::default() };
        let nothing = MountFlags { nodev: true, ..noexec };
        let pseudo =
            |name: &str, flags| Mount { kind: mount.kind.clone(), target: format!("{}/{name}", mount.target), flags };
        let options = format!("newinstance,ptmxmode=0666,mode=0620{tty}");
        self.mount_on(&pseudo("pts", noexec), &fd_path(dev, "pts"), "devpts", "devpts", &options)?;
        let options = format!("mode=1777,size={shm_bytes}");
        self.mount_on(&pseudo("shm", nothing), &fd_path(dev, "shm"), "tmpfs", "shm", &options)?;
        // mqueue shows the ipc namespace of whoever mounts it.
        (self.enter_namespaces)()?;
        match self.mount_on(&pseudo("mqueue", nothing), &fd_path(dev, "mqueue"), "mqueue", "mqueue", "") {
            // A kernel without POSIX message queues has nothing to show.
            Ok(()) | Err(SandboxError::Mount { source: Errno::NODEV, .. }) => {}
            Err(e) => return Err(e),
        }
        if let Some((columns, rows)) = self.plan.process.terminal {
            let uid = self.host_uid(self.plan.process.uid).filter(|_| self.plan.process.uid != 0);
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let terminal = open_terminal(dev, c"pts/ptmx", size, uid).and_then(|terminal| {
                console(dev, terminal.slave.as_fd())?;
                Ok(terminal)
            });
            self.terminal = Some(terminal.map_err(SandboxError::system("make a terminal"))?);
        }
        Ok(())
    }

    /// The plan's further devices: nodes like the host's in our /dev, binds of the host's elsewhere.
    pub(super) fn devices(&self) -> Result<()> {
        self.plan.devices.iter().try_for_each(|device| self.device(device))
    }

    fn device(&self, device: &Device) -> Result<()> {
        let error = |source| SandboxError::Mount {
            kind: format!("device {}", device.source.display()),
            target: device.target.clone(),
            source,
        };
        let facts = stat(&device.source).map_err(error)?;
        let kind = FileType::from_raw_mode(facts.st_mode);
        if !matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            let why = format!("`{}` is not a device; use a volume for files", device.source.display());
            return Err(SandboxError::Target { target: device.target.clone(), why });
        }
        let node = Node { kind, mode: Mode::from_raw_mode(facts.st_mode), number: facts.st_rdev };
        if normal(&device.target).starts_with("/dev/") && self.start(&device.target).anchored {
            return self.node(device, &node);
        }
        let place = self.place(&device.target, Want::File, Links::Inside)?;
        let attached = match self.anchors.iter().find(|a| a.path == "/dev") {
            Some(dev) if crate::rootless::active().is_none() => node.attach(dev.root.as_fd(), place.as_fd()),
            _ => host_path(&device.source)
                .ok_or(Errno::INVAL)
                .and_then(|path| mount::clone_host_tree(&path, false))
                .and_then(|tree| mount::attach(tree.as_fd(), place.as_fd(), c"")),
        };
        attached.map_err(error)
    }

    /// Makes the node in our own /dev.
    fn node(&self, device: &Device, node: &Node) -> Result<()> {
        let (parent, name) = device.target.rsplit_once('/').unwrap_or(("", &device.target));
        let parent = self.place(parent, Want::Directory, Links::None)?;
        match make_node(parent.as_fd(), name, node, &device.source) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(source) => Err(SandboxError::Mount {
                kind: format!("device {}", device.source.display()),
                target: device.target.clone(),
                source,
            }),
        }
    }
}

/// A device node to make.
pub(super) struct Node {
    pub(super) kind: FileType,
    pub(super) mode: Mode,
    pub(super) number: u64,
}

/// Makes a node. Root of a user namespace can make none, and binds the host's, if that is the same device.
pub(super) fn make_node(dir: BorrowedFd<'_>, name: &str, node: &Node, host: &std::path::Path) -> Result<(), Errno> {
    match mknodat(dir, name, node.kind, node.mode, node.number) {
        Err(Errno::PERM) if crate::rootless::active().is_some() => {}
        other => return other,
    }
    let place = rustix::fs::openat(CWD, host, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let facts = rustix::fs::fstat(&place)?;
    if FileType::from_raw_mode(facts.st_mode) != node.kind || facts.st_rdev != node.number {
        return Err(Errno::NODEV);
    }
    mknodat(dir, name, FileType::RegularFile, Mode::from_raw_mode(0o600), 0)?;
    let tree = mount::clone_tree(place.as_fd(), c"", false)?;
    let set = mount::attr::NOSUID | mount::attr::NOEXEC;
    mount::set_attributes(tree.as_fd(), mount::Change { set, ..mount::Change::default() })?;
    let name = std::ffi::CString::new(name).map_err(|_| Errno::INVAL)?;
    mount::attach(tree.as_fd(), dir, &name)
}

impl Node {
    /// A character device that everybody may use.
    pub(super) fn character(major: u32, minor: u32) -> Node {
        Node { kind: FileType::CharacterDevice, mode: Mode::from_raw_mode(0o666), number: makedev(major, minor) }
    }

    /// Mounts the node at `place`, outside /dev. It is made on the tmpfs `dev`, where the container's root can own it (a
    /// bind of the host's node would belong to the host's root), and loses its name there.
    fn attach(&self, dev: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
        const NAME: &std::ffi::CStr = c".device";
        mknodat(dev, NAME, self.kind, self.mode, self.number)?;
        let attached = mount::clone_tree(dev, NAME, false).and_then(|tree| mount::attach(tree.as_fd(), place, c""));
        unlinkat(dev, NAME, AtFlags::empty())?;
        attached
    }
}

fn furnish(dev: BorrowedFd<'_>) -> Result<(), Errno> {
    for (name, major, minor) in NODES {
        let host = std::path::Path::new("/dev").join(name);
        make_node(dev, name, &Node::character(major, minor), &host)?;
    }
    for (to, name) in LINKS {
        symlinkat(to, dev, name)?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(dev, name, Mode::from_raw_mode(0o755))?;
    }
    Ok(())
}

/// Opens a new pseudo-terminal of the devpts at `pts` below `dev`. The slave is opened through the master, not by name.
pub(super) fn open_terminal(
    dev: BorrowedFd<'_>,
    path: &std::ffi::CStr,
    size: Winsize,
    owner: Option<u32>,
) -> Result<Terminal, Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let master = openat2(dev, path, flags, Mode::empty(), resolve)?;
    prepare_terminal(master, size, owner)
}

/// Unlocks a fresh master, opens its slave, and gives it a size and an owner.
pub(crate) fn prepare_terminal(master: OwnedFd, size: Winsize, owner: Option<u32>) -> Result<Terminal, Errno> {
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    let slave = crate::sys::task::duplicate_above_stdio(slave)?;
    tcsetwinsize(&master, size)?;
    if let Some(uid) = owner {
        fchown(&slave, Some(Uid::from_raw(uid)), None::<Gid>)?;
    }
    Ok(Terminal { master, slave })
}

/// /dev/console is the terminal: a bind of the slave itself, by descriptor (CVE-2025-52565), on a file of ours.
pub(super) fn console(dev: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<(), Errno> {
    match mknodat(dev, c"console", FileType::RegularFile, Mode::from_raw_mode(0o600), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    let tree = mount::clone_tree(slave, c"", false)?;
    mount::attach(tree.as_fd(), dev, c"console")
}

/// Opens a pseudo-terminal of a running container, whose root directory is `root`.
pub(crate) fn terminal_in(root: BorrowedFd<'_>, size: Winsize, owner: Option<u32>) -> Result<Terminal, Errno> {
    const DEVPTS_MAGIC: i64 = 0x1cd1;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let master = openat2(root, c"dev/pts/ptmx", flags, Mode::empty(), resolve)?;
    // The container may have been up to something since: the master must be a real one.
    if rustix::fs::fstatfs(&master)?.f_type != DEVPTS_MAGIC {
        return Err(Errno::NOTTY);
    }
    prepare_terminal(master, size, owner)
}

/// The host's /dev/null as a place, checked to be the null device.
pub(super) fn host_null() -> Result<OwnedFd, Errno> {
    let null = rustix::fs::openat(CWD, c"/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let facts = rustix::fs::fstat(&null)?;
    let is_null = FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice && facts.st_rdev == makedev(1, 3);
    if is_null { Ok(null) } else { Err(Errno::NODEV) }
}
