//! What a level gives a container unless the user says otherwise: mounts, masked and read-only paths.

use crate::{Mount, MountFlags, MountKind};

/// Confinement level, as far as this room is concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// As docker's default.
    Compat,
    /// Ours.
    #[default]
    Standard,
    /// The least that runs a prepared program.
    Strict,
}

/// docker's default size of /dev/shm, in bytes.
pub const SHM_BYTES: u64 = 64 << 20;

/// Paths hidden in every container (the union of docker's, podman's and ours): kernel secrets, hardware and
/// side channels. A path the kernel does not have is skipped.
pub fn masked_paths() -> Vec<String> {
    [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kallsyms",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Paths that are readable and never writable, whatever the capabilities.
pub fn readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].map(str::to_owned).to_vec()
}

/// The mounts every container gets, in order.
pub fn mounts(level: Level) -> Vec<Mount> {
    let strict = MountFlags { nosuid: true, nodev: true, noexec: true, ..MountFlags::default() };
    let readonly = MountFlags { readonly: true, ..strict };
    let proc = MountKind::Proc { hidepid: level != Level::Compat, only_pids: level == Level::Strict };
    vec![
        mount(proc, "/proc", strict),
        mount(
            MountKind::Dev { shm_bytes: SHM_BYTES },
            "/dev",
            MountFlags { nosuid: true, noexec: true, ..MountFlags::default() },
        ),
        mount(MountKind::Sysfs, "/sys", readonly),
        mount(MountKind::Cgroup, "/sys/fs/cgroup", readonly),
    ]
}

fn mount(kind: MountKind, target: &str, flags: MountFlags) -> Mount {
    Mount { kind, target: target.to_owned(), flags }
}

/// Settings of a container with its own network namespace: any user may listen on any port, and ping.
pub fn network_sysctls() -> Vec<(String, String)> {
    // The kernel takes no group that does not exist.
    let ping =
        if crate::rootless::active().is_some_and(crate::rootless::Rootless::single_id) { "0 0" } else { "0 65535" };
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", ping)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}
