//! What bundles of the OCI runtime specification ask for beyond the plans of our own engine.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::Propagation;

/// Beyond the plan of our own engine. The default asks for nothing.
#[derive(Debug, Default)]
pub struct Extra {
    /// Furnish /dev after the mounts: the standard nodes and links, `nodes`, and the console.
    pub furnish_dev: bool,
    /// Device nodes to make.
    pub nodes: Vec<Node>,
    /// Offsets of the clocks in a new time namespace (time_namespaces(7)).
    pub time_offsets: Vec<TimeOffset>,
    /// Propagation of the root mount, set last. `None`: private.
    pub root_propagation: Option<Propagation>,
    /// The container owns its mount namespace, and may mount if its capabilities allow.
    pub own_mounts: bool,
    /// Programs to run on the way.
    pub hooks: Hooks,
    /// Settings of the group, in order.
    pub settings: Vec<CgroupSetting>,
    /// Device access rules in order, the last that matches decides. `None`: see [`crate::Plan::devices`].
    pub device_rules: Option<Vec<DeviceRule>>,
    /// A listening socket (see [`crate::gate`]): the process waits there, and the creator may end meanwhile.
    pub gate: Option<OwnedFd>,
}

/// Of a process, beyond our own engine. The default asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessExtra {
    /// Execution domain and flags for personality(2).
    pub personality: Option<u32>,
    /// Scheduling policy.
    pub scheduler: Option<Scheduler>,
    /// Class and priority as one number for ioprio_set(2).
    pub io_priority: Option<u16>,
    /// Written to /proc/self/attr/exec before the exec: an AppArmor `exec PROFILE` or a SELinux context.
    pub label: Option<String>,
    /// Which descriptors after the standard streams are handed on: 3, 4, … as many as this.
    pub keep_descriptors: u32,
    /// Processors it may run on, as numbers; empty: any.
    pub processors: Vec<u32>,
    /// Keep the session keyring of the caller.
    pub keep_keyring: bool,
}

/// Scheduling of a process (`struct sched_attr`, sched_setattr(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Scheduler {
    /// `SCHED_*`
    pub policy: u32,
    /// `SCHED_FLAG_*`
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// A device node to make inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Absolute path inside.
    pub target: String,
    /// What it is.
    pub kind: NodeKind,
    /// Permissions.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
}

/// What a node is, with its numbers (major, minor).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// Offset of one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeOffset {
    /// `monotonic` or `boottime`.
    pub clock: String,
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, below a second.
    pub nanoseconds: u32,
}

/// Programs that run on the way, in order. One that fails ends the way.
#[derive(Debug, Default)]
pub struct Hooks {
    /// In the caller's namespaces, when the container's namespaces and mounts exist and before its root is entered.
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, with the caller's root directory; then.
    pub create_container: Vec<Hook>,
    /// In the container, when it has been told to start.
    pub start_container: Vec<Hook>,
    /// The container's state for their standard input: a JSON object without its closing brace, to which
    /// `,"status":"…","pid":N}` is added.
    pub state: String,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Absolute path.
    pub path: PathBuf,
    /// Arguments, the name first.
    pub args: Vec<String>,
    /// `NAME=value`, and nothing else.
    pub env: Vec<String>,
    /// It is killed, and has failed, after this time.
    pub timeout: Option<Duration>,
}

/// One resource setting, with its files in both versions of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupSetting {
    /// What the user calls it, for messages: `memory.swappiness`.
    pub name: String,
    /// Controller in v1; empty: v1 has none.
    pub v1_controller: &'static str,
    /// Controller in v2; empty: the file belongs to the core.
    pub v2_controller: String,
    /// File and value in v1.
    pub v1: Option<(String, String)>,
    /// File and value in v2.
    pub v2: Option<(String, String)>,
}

/// One rule for access to devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allowed or refused.
    pub allow: bool,
    /// Block or character; `None`: both.
    pub block: Option<bool>,
    /// `None`: any.
    pub major: Option<u32>,
    /// `None`: any.
    pub minor: Option<u32>,
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Make nodes.
    pub make: bool,
}
