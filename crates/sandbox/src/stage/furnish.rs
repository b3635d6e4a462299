//! /dev of a bundle, whose mounts are the bundle's own: nodes, links, console.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, StatxFlags, Uid, chownat, makedev, statx, symlinkat};
use rustix::io::Errno;
use rustix::termios::Winsize;

use super::target::{Links, Want};
use super::{Stage, dev};
use crate::error::Result;
use crate::{Node, NodeKind, SandboxError};

impl Stage<'_> {
    /// Makes what every container must have in /dev and is not there yet, the bundle's own nodes, and the console.
    pub(super) fn furnish(&mut self) -> Result<()> {
        for node in &self.plan.extra.nodes {
            self.own_node(node)?;
        }
        let place = self.place("/dev", Want::Directory, Links::None)?;
        let error = |source| SandboxError::Mount { kind: "device nodes".to_owned(), target: "/dev".to_owned(), source };
        for (name, major, minor) in dev::NODES {
            if self.plan.extra.nodes.iter().any(|n| n.target == format!("/dev/{name}")) {
                continue;
            }
            let number = makedev(major, minor);
            let host = std::path::Path::new("/dev").join(name);
            match dev::make_node(place.as_fd(), name, &dev::Node::character(major, minor), &host) {
                Ok(()) => {}
                Err(Errno::EXIST) => same(place.as_fd(), name, FileType::CharacterDevice, number).map_err(error)?,
                Err(e) => return Err(error(e)),
            }
        }
        for (to, name) in dev::LINKS {
            match symlinkat(to, &place, name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(error(e)),
            }
        }
        if let Some((columns, rows)) = self.plan.process.terminal.filter(|_| self.terminal.is_none()) {
            let uid = self.host_uid(self.plan.process.uid);
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let terminal = self.bundle_terminal(size, uid).and_then(|terminal| {
                dev::console(place.as_fd(), terminal.slave.as_fd())?;
                Ok(terminal)
            });
            self.terminal = Some(terminal.map_err(SandboxError::system("make a terminal from /dev/pts/ptmx"))?);
        }
        Ok(())
    }

    fn bundle_terminal(&self, size: Winsize, owner: Option<u32>) -> std::result::Result<dev::Terminal, Errno> {
        let start = self.start("/dev/pts/ptmx");
        if !start.anchored {
            return Err(Errno::NOENT);
        }
        let path = std::ffi::CString::new(start.rest).map_err(|_| Errno::INVAL)?;
        dev::open_terminal(start.base, &path, size, owner)
    }

    fn own_node(&self, node: &Node) -> Result<()> {
        let error =
            |source| SandboxError::Mount { kind: "device node".to_owned(), target: node.target.clone(), source };
        let unmapped = || error(Errno::OVERFLOW);
        let (uid, gid) = (self.host_uid(node.uid).ok_or_else(unmapped)?, self.host_gid(node.gid).ok_or_else(unmapped)?);
        let (kind, number) = match node.kind {
            NodeKind::Character(major, minor) => (FileType::CharacterDevice, makedev(major, minor)),
            NodeKind::Block(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
            NodeKind::Fifo => (FileType::Fifo, 0),
        };
        let (parent, name) = node.target.rsplit_once('/').unwrap_or(("", &node.target));
        if matches!(name, "" | "." | "..") {
            return Err(error(Errno::INVAL));
        }
        let parent = self.place(parent, Want::Directory, Links::Inside)?;
        let wanted = dev::Node { kind, mode: Mode::from_raw_mode(node.mode & 0o7777), number };
        match dev::make_node(parent.as_fd(), name, &wanted, std::path::Path::new(&node.target)) {
            // Bound: it stays the host's.
            Ok(()) if crate::rootless::active().is_some() => Ok(()),
            Ok(()) => {
                chownat(&parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(error)
            }
            Err(Errno::EXIST) => same(parent.as_fd(), name, kind, number).map_err(error),
            Err(e) => Err(error(e)),
        }
    }
}

/// What is there already must be what was asked for (runtime-spec, "Devices").
fn same(dir: BorrowedFd<'_>, name: &str, kind: FileType, number: u64) -> std::result::Result<(), Errno> {
    let facts = statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)?;
    let there = makedev(facts.stx_rdev_major, facts.stx_rdev_minor);
    let alike = FileType::from_raw_mode(facts.stx_mode.into()) == kind && (kind == FileType::Fifo || there == number);
    if alike { Ok(()) } else { Err(Errno::EXIST) }
}
