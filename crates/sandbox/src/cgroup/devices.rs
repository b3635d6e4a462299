//! Which device nodes a container without a user namespace of its own may use.
//!
//! In a user namespace this is not needed: no node can be made there, and everything but our /dev is mounted nodev.

use std::path::Path;

use rustix::fs::{FileType, major, minor, stat};

use super::{Cgroup, failed, write};
use crate::error::Result;
use crate::{Device, SandboxError};

/// The standard nodes, terminals, and making nodes without being able to open them (docker's default).
const STANDARD: [&str; 11] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// Allows the standard devices and `extra` only. A machine with nothing but cgroup v2 would need a BPF program for
/// this: see [`super`]'s notes; there the capability to make nodes must be withheld instead.
pub(super) fn confine(group: &Cgroup, extra: &[Device]) -> Result<()> {
    let Some((dir, false)) = group.with_controller("devices") else { return Ok(()) };
    let set = |file: &str, rule: &str| {
        let path = dir.join(file);
        write(&path, rule).map_err(failed("set a device rule", &path))
    };
    set("devices.deny", "a")?;
    STANDARD.iter().try_for_each(|rule| set("devices.allow", rule))?;
    extra.iter().try_for_each(|device| set("devices.allow", &rule(device)?))
}

fn rule(device: &Device) -> Result<String> {
    let facts = stat(&device.source).map_err(SandboxError::path("look at the device", Path::new(&device.source)))?;
    let kind = if FileType::from_raw_mode(facts.st_mode) == FileType::BlockDevice { 'b' } else { 'c' };
    let access: String = device.access.chars().filter(|c| "rwm".contains(*c)).collect();
    let access = if access.is_empty() { "rwm" } else { &access };
    Ok(format!("{kind} {}:{} {access}", major(facts.st_rdev), minor(facts.st_rdev)))
}
