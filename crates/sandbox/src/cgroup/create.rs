//! Making a group, limiting it, and getting processes into it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdir, openat};
use rustix::io::Errno;

use super::layout::Hierarchy;
use super::{Cgroup, devices, failed, settings, write};
use crate::error::Result;
use crate::{CgroupSetting, Device, DeviceRule, Limits, SandboxError, rootless};

/// Controllers that the v2 tree hands down to container groups.
const HANDED_DOWN: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// What a new process needs to get into a group.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    /// The v2 directory, for `CLONE_INTO_CGROUP`.
    pub(crate) unified: Option<OwnedFd>,
    /// `tasks` of each v1 group, open for writing: the process writes itself ("0") before it has a second thread. Through
    /// `cgroup.procs` the kernel would first wait for all its processors (a grace period, ten milliseconds on an idle
    /// machine); a thread that moves itself needs no such lock.
    pub(crate) tasks: Vec<OwnedFd>,
}

/// What a new group shall have.
pub(crate) struct Request<'a> {
    pub(crate) limits: &'a Limits,
    /// Allow only the standard devices and `devices`.
    pub(crate) confine_devices: bool,
    pub(crate) devices: &'a [Device],
    /// Device rules instead.
    pub(crate) rules: Option<&'a [DeviceRule]>,
    pub(crate) settings: &'a [CgroupSetting],
}

impl Cgroup {
    /// Makes the group with these limits. `confine_devices`: allow only the standard devices and `devices`.
    #[cfg(test)]
    pub(crate) fn create(&self, limits: &Limits, confine_devices: bool, devices: &[Device]) -> Result<Membership> {
        self.create_with(&Request { limits, confine_devices, devices, rules: None, settings: &[] })
    }

    /// Makes the group as asked.
    pub(crate) fn create_with(&self, request: &Request<'_>) -> Result<Membership> {
        self.require_controllers(request.limits)?;
        let result = self.make(request);
        if result.is_err() {
            // Best effort: the first error is the one to report.
            let _ = self.remove();
        }
        result
    }

    fn make(&self, request: &Request<'_>) -> Result<Membership> {
        let mut dirs = Vec::new();
        for hierarchy in self.layout.hierarchies() {
            let used = is_used(hierarchy, request, self.layout.unified.is_some());
            dirs.push(if used { self.make_if_allowed(hierarchy)? } else { None });
        }
        // Nobody can have asked before: the group is new. If somebody has, what was found then stands.
        let _ = self.dirs.set(dirs.into());
        if let (Some(hierarchy), Some(dir)) = (&self.layout.unified, self.unified()) {
            self.hand_controllers_down(hierarchy, &dir, request.settings);
        }
        self.update(request.limits)?;
        self.apply(request.settings)?;
        if let Some(rules) = request.rules {
            devices::restrict(self, rules)?;
        } else if request.confine_devices {
            devices::confine(self, request.devices)?;
        }
        self.membership()
    }

    fn require_controllers(&self, limits: &Limits) -> Result<()> {
        missing(&needs(limits), |controller| self.layout.controller(controller).is_some())
    }

    /// Without root the group may be missing in a hierarchy that exists.
    fn require_groups(&self, limits: &Limits) -> Result<()> {
        if rootless::active().is_none() {
            return Ok(());
        }
        missing(&needs(limits), |controller| {
            self.with_controller(controller).is_some_and(|(dir, v2)| !v2 || dir.join(first_file(controller)).exists())
        })
    }

    /// Without root a hierarchy that was not delegated is done without: what it would limit is checked by [`Self::update`].
    fn make_if_allowed(&self, hierarchy: &Hierarchy) -> Result<Option<PathBuf>> {
        match self.make_in(hierarchy) {
            Err(SandboxError::Cgroup { source: Errno::ACCESS | Errno::PERM | Errno::ROFS, .. })
                if rootless::active().is_some() =>
            {
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    pub(super) fn make_in(&self, hierarchy: &Hierarchy) -> Result<PathBuf> {
        let mut refusal = (Errno::NOENT, hierarchy.top.join(&self.path));
        for place in hierarchy.places() {
            match make_below(place, &self.path) {
                Ok(dir) => {
                    if hierarchy.has("cpuset") {
                        settings::inherit_cpuset(place, &self.path);
                    }
                    return Ok(dir);
                }
                Err(e) => refusal = (e, place.join(&self.path)),
            }
        }
        Err(failed("make the group", &refusal.1)(refusal.0))
    }

    /// Enables controllers in every group above ours. What the machine does not have or allow is noticed when a limit
    /// cannot be written.
    fn hand_controllers_down(&self, hierarchy: &Hierarchy, dir: &Path, settings: &[CgroupSetting]) {
        let available = &self.layout.unified_controllers;
        let asked = settings.iter().map(|s| s.v2_controller.as_str()).filter(|c| !HANDED_DOWN.contains(c));
        let wanted: Vec<&str> =
            HANDED_DOWN.into_iter().chain(asked).filter(|c| available.iter().any(|a| a == *c)).collect();
        // Present in our group: somebody before us has enabled them all the way.
        if wanted.is_empty() || wanted.iter().all(|c| dir.join(first_file(c)).exists()) {
            return;
        }
        let above: Vec<&Path> = dir.ancestors().skip(1).take_while(|d| d.starts_with(&hierarchy.top)).collect();
        for group in above.into_iter().rev() {
            for controller in &wanted {
                let file = group.join("cgroup.subtree_control");
                let busy = matches!(write(&file, &format!("+{controller}")), Err(Errno::BUSY));
                // A group with processes hands nothing down. If they are only we, we step aside (cgroups(7)).
                if busy && rootless::active().is_some() && hierarchy.own.as_deref() == Some(group) {
                    let _ = step_aside(group).and_then(|()| write(&file, &format!("+{controller}")));
                }
            }
        }
    }

    /// What a process needs to join the group as it is now.
    pub(crate) fn membership(&self) -> Result<Membership> {
        let mut membership = Membership::default();
        for (hierarchy, dir) in self.existing() {
            if hierarchy.controllers.is_empty() {
                let fd = openat(CWD, &dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
                membership.unified = Some(fd.map_err(failed("open the group", &dir))?);
            } else {
                let file = dir.join("tasks");
                let fd = openat(CWD, &file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
                membership.tasks.push(fd.map_err(failed("open the group", &file))?);
            }
        }
        Ok(membership)
    }

    /// Changes limits; `None` leaves a limit as it is.
    pub fn update(&self, limits: &Limits) -> Result<()> {
        self.require_controllers(limits)?;
        self.require_groups(limits)?;
        if let Some((dir, v2)) = self.with_controller("memory") {
            if v2 { memory_v2(&dir, limits)? } else { memory_v1(&dir, limits)? }
        }
        if let Some((dir, v2)) = self.with_controller("cpu") {
            if v2 { cpu_v2(&dir, limits)? } else { cpu_v1(&dir, limits)? }
        }
        if let (Some(pids), Some((dir, _))) = (limits.pids, self.with_controller("pids")) {
            set(&dir, "pids.max", pids)?;
        }
        Ok(())
    }
}

/// Which controllers limits need, with the option that asks for them.
type Needs = [(bool, &'static str, &'static str); 4];

fn needs(limits: &Limits) -> Needs {
    [
        (limits.memory_bytes.is_some() || limits.memory_swap_bytes.is_some(), "memory", "memory"),
        (limits.memory_reservation_bytes.is_some(), "memory", "memory-reservation"),
        (limits.cpu_millis.is_some() || limits.cpu_shares.is_some(), "cpu", "cpus"),
        (limits.pids.is_some(), "pids", "pids-limit"),
    ]
}

fn missing(needs: &Needs, have: impl Fn(&str) -> bool) -> Result<()> {
    match needs.iter().find(|(needed, controller, _)| *needed && !have(controller)) {
        Some((_, controller, limit)) => Err(SandboxError::NoController { controller, limit }),
        None => Ok(()),
    }
}

/// Moves this process into a group of its own below `group`.
fn step_aside(group: &Path) -> Result<(), Errno> {
    let leaf = group.join("stockade-monitors");
    match mkdir(&leaf, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => write(&leaf.join("cgroup.procs"), "0"),
        Err(e) => Err(e),
    }
}

/// Whether a new group is made in the hierarchy. A v1 hierarchy costs a migration of the new process, so those that serve
/// neither a limit nor `stats` are left out. Devices are confined by a program on the v2 group where there is one.
fn is_used(hierarchy: &Hierarchy, request: &Request<'_>, has_unified: bool) -> bool {
    let Request { limits, settings, .. } = request;
    let confine_devices = request.confine_devices || request.rules.is_some();
    let has = |controller| hierarchy.has(controller);
    hierarchy.controllers.is_empty()
        || has("memory")
        || has("pids")
        || has("freezer")
        // What other programs read counters of.
        || (request.rules.is_some() && (has("cpu") || has("cpuacct") || has("blkio")))
        || (has("cpu") && (limits.cpu_millis.is_some() || limits.cpu_shares.is_some()))
        || (has("devices") && confine_devices && !has_unified)
        || settings.iter().any(|s| !s.v1_controller.is_empty() && has(s.v1_controller))
}

fn first_file(controller: &str) -> &'static str {
    match controller {
        "cpu" => "cpu.max",
        "io" => "io.stat",
        "memory" => "memory.max",
        "cpuset" => "cpuset.cpus",
        "hugetlb" => "hugetlb.2MB.max",
        "rdma" => "rdma.max",
        "misc" => "misc.max",
        _ => "pids.max",
    }
}

/// `mkdir -p`, against others who remove empty parents at the same time.
fn make_below(place: &Path, path: &str) -> Result<PathBuf, Errno> {
    let dir = place.join(path);
    let mode = Mode::from_raw_mode(0o755);
    for _ in 0..100 {
        match mkdir(&dir, mode) {
            Ok(()) | Err(Errno::EXIST) => return Ok(dir),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
        let parents: Vec<&Path> = dir.ancestors().skip(1).take_while(|p| *p != place).collect();
        for parent in parents.into_iter().rev() {
            match mkdir(parent, mode) {
                Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Err(Errno::NOENT)
}

fn set(dir: &Path, file: &str, value: impl std::fmt::Display) -> Result<()> {
    let path = dir.join(file);
    write(&path, &value.to_string()).map_err(failed("set a limit", &path))
}

fn memory_v1(dir: &Path, limits: &Limits) -> Result<()> {
    const MEMORY: &str = "memory.limit_in_bytes";
    const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
    match (limits.memory_bytes, limits.memory_swap_bytes) {
        // Memory must never exceed memory and swap: which to raise first depends on where they were.
        (Some(memory), Some(total)) => {
            if set(dir, MEMORY, memory).is_err() {
                set(dir, WITH_SWAP, total)?;
                set(dir, MEMORY, memory)?;
            }
            set(dir, WITH_SWAP, total)?;
        }
        (Some(memory), None) => set(dir, MEMORY, memory)?,
        (None, Some(total)) => set(dir, WITH_SWAP, total)?,
        (None, None) => {}
    }
    limits.memory_reservation_bytes.map_or(Ok(()), |soft| set(dir, "memory.soft_limit_in_bytes", soft))
}

fn memory_v2(dir: &Path, limits: &Limits) -> Result<()> {
    if let Some(memory) = limits.memory_bytes {
        set(dir, "memory.max", memory)?;
        // All processes of the container die together: half a container is worse than none. Absent before Linux 4.19.
        let _ = set(dir, "memory.oom.group", 1);
    }
    if let Some(total) = limits.memory_swap_bytes {
        // v2 counts swap alone.
        set(dir, "memory.swap.max", total.saturating_sub(limits.memory_bytes.unwrap_or(0)))?;
    }
    limits.memory_reservation_bytes.map_or(Ok(()), |soft| set(dir, "memory.low", soft))
}

/// Period of CPU quotas, in microseconds: the kernel's default.
const PERIOD_US: u64 = 100_000;

fn quota_us(millis: u64) -> u64 {
    // The kernel takes no quota below a millisecond.
    (millis.saturating_mul(PERIOD_US) / 1000).max(1000)
}

fn cpu_v1(dir: &Path, limits: &Limits) -> Result<()> {
    if let Some(millis) = limits.cpu_millis {
        set(dir, "cpu.cfs_period_us", PERIOD_US)?;
        set(dir, "cpu.cfs_quota_us", quota_us(millis))?;
    }
    limits.cpu_shares.map_or(Ok(()), |shares| set(dir, "cpu.shares", shares))
}

fn cpu_v2(dir: &Path, limits: &Limits) -> Result<()> {
    if let Some(millis) = limits.cpu_millis {
        set(dir, "cpu.max", format!("{} {PERIOD_US}", quota_us(millis)))?;
    }
    limits.cpu_shares.map_or(Ok(()), |shares| set(dir, "cpu.weight", weight(shares)))
}

/// v1 shares 2..=262144 as v2 weight 1..=10000, linearly, as systemd and the OCI runtimes do.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_quotas_convert() {
        assert_eq!([weight(0), weight(2), weight(1024), weight(262_144)], [1, 1, 39, 10_000]);
        assert_eq!([quota_us(1500), quota_us(1), quota_us(u64::MAX)], [150_000, 1000, u64::MAX / 1000]);
    }
}
