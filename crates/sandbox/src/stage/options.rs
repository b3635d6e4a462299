//! Mount flags as the kernel's two interfaces want them, and file systems by name.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::target::normal;
use super::{Stage, copyup, dev};
use crate::error::Result;
use crate::sys::mount::{self, Change, attr};
use crate::{IdMap, Mount, MountFlags, Propagation, SandboxError};

const DEVPTS_MAGIC: i64 = 0x1cd1;

impl Stage<'_> {
    /// A file system by name. Those of the kernel show the namespace of whoever mounts them.
    pub(super) fn other(&mut self, mount: &Mount, fstype: &str, source: &str, data: &str) -> Result<()> {
        let data = match self.ids() {
            Some(map) => mapped_options(data, map).ok_or_else(|| SandboxError::Mount {
                kind: format!("{fstype} with `{data}`, whose ids are not in the id map,"),
                target: mount.target.clone(),
                source: Errno::INVAL,
            })?,
            None => data.to_owned(),
        };
        match fstype {
            "proc" => {
                let options: Vec<String> = data.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
                self.proc_with(mount, &options)?;
            }
            "sysfs" => self.sysfs(mount, source, &data)?,
            "cgroup" | "cgroup2" => self.cgroups(mount)?,
            "tmpfs" if normal(&mount.target) == "/dev" => {
                let mut open = mount.clone();
                open.flags.bits.set &= !attr::RDONLY;
                self.simple(&open, fstype, source, &data)?;
                self.anchor(mount, |magic| magic == dev::TMPFS_MAGIC, "tmpfs")?;
            }
            "devpts" => {
                self.simple(mount, fstype, source, &data)?;
                self.anchor(mount, |magic| magic == DEVPTS_MAGIC, "devpts")?;
            }
            "tmpfs" if mount.flags.bits.copy_up => self.copied_up(mount, source, &data)?,
            _ => {
                if fstype == "mqueue" {
                    (self.enter_namespaces)()?;
                }
                self.simple(mount, fstype, source, &data)?;
            }
        }
        self.adjust(mount)
    }

    /// A tmpfs with a copy of what it covers.
    fn copied_up(&self, mount: &Mount, source: &str, data: &str) -> Result<()> {
        let error =
            |source| SandboxError::Mount { kind: "copy in tmpfs".to_owned(), target: mount.target.clone(), source };
        let mut writable = mount.clone();
        writable.flags.readonly = false;
        writable.flags.bits.set &= !attr::RDONLY;
        let covered = self.simple(&writable, "tmpfs", source, data)?;
        let top = self.existing(&mount.target)?.ok_or(Errno::NOENT).map_err(error)?;
        let (covered, top) = (std::os::fd::AsFd::as_fd(&covered), std::os::fd::AsFd::as_fd(&top));
        copyup::tree(covered, top, !data.split(',').any(|o| o.starts_with("mode="))).map_err(error)?;
        let change = Change { set: attributes(mount.flags), ..Change::default() };
        mount::set_attributes(top, change).and_then(|()| set_bits(top, mount.flags)).map_err(error)
    }

    /// What mount(2) could not say: propagation, and attributes for everything below.
    fn adjust(&self, mount: &Mount) -> Result<()> {
        let bits = mount.flags.bits;
        let propagates = mount.flags.propagation != Propagation::Private;
        if !propagates && bits.set_below == 0 && bits.clear_below == 0 {
            return Ok(());
        }
        let error = |source| SandboxError::Mount {
            kind: "changed attributes".to_owned(),
            target: mount.target.clone(),
            source,
        };
        let place = self.existing(&mount.target)?.ok_or(Errno::NOENT).map_err(error)?;
        let place = std::os::fd::AsFd::as_fd(&place);
        if propagates {
            let change = Change {
                propagation: propagation(mount.flags.propagation),
                recursive: bits.propagate_below,
                ..Change::default()
            };
            mount::set_attributes(place, change).map_err(error)?;
        }
        below(place, mount.flags).map_err(error)
    }

    /// A read-only /dev becomes so when all is in it.
    pub(super) fn close_dev(&self) -> Result<()> {
        let asked = |m: &&Mount| {
            matches!(&m.kind, crate::MountKind::Other { fstype, .. } if fstype == "tmpfs")
                && normal(&m.target) == "/dev"
                && m.flags.bits.set & attr::RDONLY != 0
        };
        if !self.plan.mounts.iter().any(|m| asked(&m)) {
            return Ok(());
        }
        let Some(dev) = self.existing("/dev")? else { return Ok(()) };
        let change = Change { set: attr::RDONLY, ..Change::default() };
        mount::set_attributes(std::os::fd::AsFd::as_fd(&dev), change)
            .map_err(SandboxError::system("make /dev read-only"))
    }
}

/// `uid=` and `gid=` as the host sees those ids. `None`: one has no place in the map.
fn mapped_options(data: &str, map: &IdMap) -> Option<String> {
    let option = |option: &str| -> Option<String> {
        let Some((name @ ("uid" | "gid"), id)) = option.split_once('=') else { return Some(option.to_owned()) };
        let Ok(id) = id.parse::<u32>() else { return Some(option.to_owned()) };
        let outside = if name == "uid" { map.host_uid(id) } else { map.host_gid(id) };
        Some(format!("{name}={}", outside?))
    };
    let options: Option<Vec<String>> = data.split(',').map(option).collect();
    options.map(|o| o.join(","))
}

/// The attributes beside the simple restrictions of a detached or attached mount.
pub(super) fn set_bits(tree: BorrowedFd<'_>, flags: MountFlags) -> Result<(), Errno> {
    let bits = flags.bits;
    let change = Change { set: bits.set, clear: bits.clear | whole_field(bits.set), ..Change::default() };
    mount::set_attributes(tree, change)?;
    if bits.propagate_below {
        let change = Change { propagation: propagation(flags.propagation), recursive: true, ..Change::default() };
        mount::set_attributes(tree, change)?;
    }
    below(tree, flags)
}

fn below(tree: BorrowedFd<'_>, flags: MountFlags) -> Result<(), Errno> {
    let bits = flags.bits;
    let clear = bits.clear_below | whole_field(bits.set_below);
    mount::set_attributes(tree, Change { set: bits.set_below, clear, recursive: true, ..Change::default() })
}

/// The ways to keep access times exclude one another: whoever sets one clears the field.
fn whole_field(set: u64) -> u64 {
    if set & attr::ATIME != 0 { attr::ATIME } else { 0 }
}

pub(super) fn attributes(flags: MountFlags) -> u64 {
    [
        (flags.readonly, attr::RDONLY),
        (flags.nosuid, attr::NOSUID),
        (flags.nodev, attr::NODEV),
        (flags.noexec, attr::NOEXEC),
    ]
    .iter()
    .filter(|(on, _)| *on)
    .fold(0, |bits, (_, bit)| bits | bit)
}

pub(super) fn classic_flags(flags: MountFlags) -> u64 {
    const MS_NOSYMFOLLOW: u64 = 256;
    let set = attributes(flags) | flags.bits.set;
    [
        (attr::RDONLY, libc::MS_RDONLY),
        (attr::NOSUID, libc::MS_NOSUID),
        (attr::NODEV, libc::MS_NODEV),
        (attr::NOEXEC, libc::MS_NOEXEC),
        (attr::NOATIME, libc::MS_NOATIME),
        (attr::STRICTATIME, libc::MS_STRICTATIME),
        (attr::NODIRATIME, libc::MS_NODIRATIME),
        (attr::NOSYMFOLLOW, MS_NOSYMFOLLOW),
    ]
    .iter()
    .filter(|(bit, _)| set & bit != 0)
    .fold(flags.bits.file_system, |bits, (_, flag)| bits | flag)
}

pub(super) fn propagation(propagation: Propagation) -> u64 {
    match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Shared => libc::MS_SHARED,
        Propagation::Unbindable => libc::MS_UNBINDABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_options_are_the_hosts() {
        let map = IdMap::contiguous(1000, 10);
        assert_eq!(mapped_options("mode=755,gid=5,size=1k", &map).unwrap(), "mode=755,gid=1005,size=1k");
        assert_eq!(mapped_options("uid=11", &map), None);
        assert_eq!(mapped_options("", &map).unwrap(), "");
    }
}
