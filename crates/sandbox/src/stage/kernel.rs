//! /proc and /sys.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};
use rustix::io::Errno;

use super::target::{self, Links, Want};
use super::{Anchor, Stage, fd_path};
use crate::error::Result;
use crate::sys::mount::{self, Change, attr};
use crate::sys::{clone, task};
use crate::{Mount, Namespace, SandboxError, old_kernel, rootless};

const SYSFS_MAGIC: i64 = 0x6265_6572;

impl Stage<'_> {
    /// /proc of the container's pid namespace.
    ///
    /// With `hidepid`, members of the container's root group still see every process: ps as root works, and other users
    /// see their own.
    pub(super) fn proc(&mut self, mount: &Mount, hidepid: bool, only_pids: bool) -> Result<()> {
        let mut options = Vec::new();
        if hidepid {
            options.push("hidepid=2".to_owned());
            options.extend(self.host_gid(0).map(|gid| format!("gid={gid}")));
        }
        if only_pids {
            options.push("subset=pid".to_owned());
        }
        self.proc_with(mount, &options)
    }

    /// /proc with these options.
    pub(super) fn proc_with(&mut self, mount: &Mount, options: &[String]) -> Result<()> {
        let place = self.place(&mount.target, Want::Directory, Links::None)?;
        let place = fd_path(place.as_fd(), "");
        match self.pidns {
            None => match self.mount_on(mount, &place, "proc", "proc", &options.join(",")) {
                // The host's processes are not ours to show anew.
                Err(SandboxError::Mount { source: Errno::PERM, .. }) if rootless::active().is_some() => {
                    self.bind_host(mount, c"/proc")?;
                }
                other => other?,
            },
            Some(pidns) => {
                let with = format!("pidns=/proc/self/fd/{}", pidns.as_raw_fd());
                let named = options.iter().cloned().chain([with]).collect::<Vec<_>>().join(",");
                let named = if old_kernel::pretended() { "no-such-option".to_owned() } else { named };
                match self.mount_on(mount, &place, "proc", "proc", &named) {
                    Ok(()) => {}
                    // Kernels before 6.17 show the pid namespace of whoever mounts, and only that.
                    Err(SandboxError::Mount { source: Errno::INVAL, .. }) => {
                        self.proc_from_inside(mount, &place, pidns, &options.join(","))?;
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        self.anchor(mount, |magic| magic == PROC_SUPER_MAGIC, "proc")
    }

    /// Mounts /proc from a short-lived helper in the pid namespace.
    fn proc_from_inside(
        &self,
        mount: &Mount,
        place: &std::ffi::CStr,
        pidns: BorrowedFd<'_>,
        options: &str,
    ) -> Result<()> {
        // The helper that we are changes the namespace of its future children only, and has only this one.
        let mounted = task::setns(pidns, libc::CLONE_NEWPID)
            .and_then(|()| clone::aside(0, || self.mount_on(mount, place, "proc", "proc", options)));
        mounted.map_err(SandboxError::system("mount /proc from inside the pid namespace"))?
    }

    pub(super) fn sysfs(&mut self, mount: &Mount, source: &str, data: &str) -> Result<()> {
        // sysfs shows the network namespace of whoever mounts it.
        (self.enter_namespaces)()?;
        match self.simple(mount, "sysfs", source, data) {
            // It belongs to the owner of the network, which is not us if that is the host's.
            Err(SandboxError::Mount { source: Errno::PERM, .. }) if rootless::active().is_some() => {
                self.bind_host(mount, c"/sys")?;
            }
            other => drop(other?),
        }
        self.anchor(mount, |magic| magic == SYSFS_MAGIC, "sysfs")
    }

    /// The host's own with all that is mounted below it, read-only.
    fn bind_host(&self, mount: &Mount, path: &std::ffi::CStr) -> Result<()> {
        let kind = format!("the host's {}", path.to_string_lossy());
        let error = |source| SandboxError::Mount { kind: kind.clone(), target: mount.target.clone(), source };
        let place = self.place(&mount.target, Want::Directory, Links::None)?;
        let tree = mount::clone_host_tree(path, true).map_err(error)?;
        let set = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
        let change = Change { set, propagation: libc::MS_PRIVATE, recursive: true, ..Change::default() };
        mount::set_attributes(tree.as_fd(), change).map_err(error)?;
        mount::attach(tree.as_fd(), place.as_fd(), c"").map_err(error)
    }

    /// Remembers the root of what was just mounted, after checking that it is what we think it is.
    pub(super) fn anchor(&mut self, mount: &Mount, expected: impl Fn(i64) -> bool, name: &str) -> Result<()> {
        let start = self.start(&mount.target);
        let found = target::open(start.base, &start.rest, Links::None).and_then(|fd| Ok((fstatfs(&fd)?.f_type, fd)));
        match found {
            Ok((magic, root)) if expected(magic) => {
                self.anchors.push(Anchor { path: target::normal(&mount.target), root });
                Ok(())
            }
            Ok(_) => Err(SandboxError::Target {
                target: mount.target.clone(),
                why: format!("it is not {name} although {name} was mounted there"),
            }),
            Err(source) => Err(SandboxError::Mount { kind: name.to_owned(), target: mount.target.clone(), source }),
        }
    }

    /// Writes the plan's kernel settings through the host's /proc, as a member of the container's namespaces: the files
    /// are those of the writer's network, ipc and uts namespaces. Checked before: only such settings get here.
    pub(super) fn sysctls(&mut self) -> Result<()> {
        if self.plan.sysctls.is_empty() {
            return Ok(());
        }
        (self.enter_namespaces)()?;
        for (name, value) in &self.plan.sysctls {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            std::fs::write(path, value).map_err(|e| SandboxError::Sysctl {
                name: name.clone(),
                value: value.clone(),
                source: crate::error::errno(&e),
            })?;
        }
        Ok(())
    }
}

/// Whether `name` is a setting that belongs to one of the container's own namespaces: everything else would change the
/// host.
pub(crate) fn sysctl_is_namespaced(name: &str, names: &crate::Namespaces) -> bool {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let well_formed = name.split('.').all(|part| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'@' | b':'))
    });
    well_formed
        && ((name.starts_with("net.") && names.net != Namespace::Host)
            || ((name.starts_with("fs.mqueue.") || IPC.contains(&name)) && names.ipc != Namespace::Host)
            || (matches!(name, "kernel.domainname" | "kernel.hostname") && names.uts != Namespace::Host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_of_the_containers_namespaces_pass() {
        let own = |net, ipc| crate::Namespaces {
            user: Namespace::New,
            pid: Namespace::New,
            net,
            ipc,
            uts: Namespace::New,
            cgroup: Namespace::New,
            time: Namespace::New,
        };
        let ok = |name| sysctl_is_namespaced(name, &own(Namespace::New, Namespace::New));
        assert!(ok("net.ipv4.ip_unprivileged_port_start"));
        assert!(ok("kernel.shmmax"));
        assert!(ok("fs.mqueue.msg_max"));
        for bad in ["kernel.core_pattern", "vm.overcommit_memory", "net..x", "net.../../kernel/core_pattern", "net.a/b"]
        {
            assert!(!ok(bad), "{bad}");
        }
        assert!(!sysctl_is_namespaced("net.ipv4.ip_forward", &own(Namespace::Host, Namespace::New)));
        assert!(!sysctl_is_namespaced("kernel.sem", &own(Namespace::New, Namespace::Host)));
    }
}
