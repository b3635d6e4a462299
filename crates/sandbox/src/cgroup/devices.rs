//! Which device nodes a container without a user namespace of its own may use.
//!
//! In a user namespace this is not needed: no node can be made there, and everything but our /dev is mounted nodev.
//! Otherwise a BPF program on the v2 group decides (it needs no controller, so hybrid machines have it too), or the v1
//! `devices` controller. A machine with neither cannot confine devices, and such a container is refused there.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, major, minor, openat, stat};
use rustix::io::Errno;

use super::{Cgroup, failed, write};
use crate::error::Result;
use crate::sys::bpf::{Instruction, attach_device_filter};
use crate::{Device, DeviceRule, SandboxError};

const MAKE: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const ALL: u8 = MAKE | READ | WRITE;

/// Something allowed or refused. `None` stands for any number, or both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    allow: bool,
    block: Option<bool>,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
}

const fn character(major: u32, minor: Option<u32>) -> Rule {
    Rule { allow: true, block: Some(false), major: Some(major), minor, access: ALL }
}

/// The standard nodes and terminals; and making any node, without being able to open it (docker's default).
const STANDARD: [Rule; 11] = [
    character(1, Some(3)),
    character(1, Some(5)),
    character(1, Some(7)),
    character(1, Some(8)),
    character(1, Some(9)),
    character(5, Some(0)),
    character(5, Some(1)),
    character(5, Some(2)),
    character(136, None),
    Rule { allow: true, block: Some(false), major: None, minor: None, access: MAKE },
    Rule { allow: true, block: Some(true), major: None, minor: None, access: MAKE },
];

/// Allows the standard devices and `extra` only.
pub(super) fn confine(group: &Cgroup, extra: &[Device]) -> Result<()> {
    let mut rules = STANDARD.to_vec();
    for device in extra {
        rules.push(rule(device)?);
    }
    enforce(group, &rules, false)
}

/// Rules in order, the last that matches decides; what none names is allowed. The standard devices come after them, as
/// runc and crun have it.
pub(super) fn restrict(group: &Cgroup, asked: &[DeviceRule]) -> Result<()> {
    let mut rules: Vec<Rule> = asked
        .iter()
        .map(|r| Rule {
            allow: r.allow,
            block: r.block,
            major: r.major,
            minor: r.minor,
            access: [(r.read, READ), (r.write, WRITE), (r.make, MAKE)]
                .iter()
                .filter(|(on, _)| *on)
                .fold(0, |bits, (_, bit)| bits | bit),
        })
        .collect();
    rules.extend(STANDARD);
    enforce(group, &rules, !asked.is_empty())
}

fn enforce(group: &Cgroup, rules: &[Rule], otherwise: bool) -> Result<()> {
    if let Some(dir) = group.unified() {
        let attached = openat(CWD, &dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|fd| attach_device_filter(fd.as_fd(), &program(rules, otherwise)));
        match (attached, group.with_controller("devices")) {
            (Ok(()), _) => return Ok(()),
            // Without cgroup BPF in the kernel the old controller may be there.
            (Err(_), Some(_)) => {}
            (Err(e), None) => return Err(failed("confine devices", &dir)(e)),
        }
    }
    let Some((dir, _)) = group.with_controller("devices") else {
        return Err(SandboxError::NoController { controller: "devices", limit: "access to devices" });
    };
    let set = |file: &str, value: &str| {
        let path = dir.join(file);
        write(&path, value).map_err(failed("set a device rule", &path))
    };
    if !otherwise {
        set("devices.deny", "a")?;
    }
    rules.iter().try_for_each(|rule| set(if rule.allow { "devices.allow" } else { "devices.deny" }, &line(rule)))
}

fn rule(device: &Device) -> Result<Rule> {
    let facts = stat(&device.source).map_err(SandboxError::path("look at the device", Path::new(&device.source)))?;
    let block = match FileType::from_raw_mode(facts.st_mode) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => false,
        _ => return Err(SandboxError::path("use as a device", Path::new(&device.source))(Errno::NODEV)),
    };
    let named = device.access.chars().fold(0, |bits, c| {
        bits | match c {
            'r' => READ,
            'w' => WRITE,
            'm' => MAKE,
            _ => 0,
        }
    });
    let access = if named == 0 { ALL } else { named };
    Ok(Rule {
        allow: true,
        block: Some(block),
        major: Some(major(facts.st_rdev)),
        minor: Some(minor(facts.st_rdev)),
        access,
    })
}

/// In the words of the v1 controller: `c 1:3 rwm`.
fn line(rule: &Rule) -> String {
    let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let access: String =
        [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')].iter().filter(|(b, _)| rule.access & b != 0).map(|(_, c)| c).collect();
    let kind = match rule.block {
        Some(true) => 'b',
        Some(false) => 'c',
        // The old controller takes `a` for everything only.
        None => 'a',
    };
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

/// The last rule that matches decides, so the program asks from the back. Context (`struct bpf_cgroup_dev_ctx`, register
/// 1): access in the high and kind in the low half of the first word, then major and minor. A rule that does not match
/// falls through to the next. An allowing rule matches when it covers all that is wanted, a refusing one when it covers
/// any of it.
fn program(rules: &[Rule], otherwise: bool) -> Vec<Instruction> {
    const KIND: u8 = 2;
    const ACCESS: u8 = 3;
    const MAJOR: u8 = 4;
    const MINOR: u8 = 5;
    const SCRATCH: u8 = 6;
    const NOT_EQUAL: u8 = 0x56;
    const EQUAL: u8 = 0x16;
    let load = |register: u8, offset: i16| op(0x61, register | 1 << 4, offset, 0);
    let mut code = vec![
        load(KIND, 0),
        load(ACCESS, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        // kind &= 0xffff; access >>= 16, in 32 bits.
        op(0x54, KIND, 0, 0xffff),
        op(0x74, ACCESS, 0, 16),
    ];
    for rule in rules.iter().rev() {
        // (register, value): all must be equal.
        let mut tests: Vec<(u8, i32)> = rule.block.map(|block| (KIND, if block { 1 } else { 2 })).into_iter().collect();
        tests.extend(rule.major.map(|n| (MAJOR, n as i32)));
        tests.extend(rule.minor.map(|n| (MINOR, n as i32)));
        // Left after each equality test: the others, three for the access, two for the answer.
        let total = tests.len() as i16;
        for (at, (register, value)) in tests.into_iter().enumerate() {
            code.push(op(NOT_EQUAL, register, total - at as i16 - 1 + 5, value));
        }
        code.push(op(0xbc, SCRATCH | ACCESS << 4, 0, 0));
        let (bits, skip) = if rule.allow { (ALL & !rule.access, NOT_EQUAL) } else { (rule.access, EQUAL) };
        code.push(op(0x54, SCRATCH, 0, i32::from(bits)));
        code.push(op(skip, SCRATCH, 2, 0));
        code.extend(answer(i32::from(rule.allow)));
    }
    code.extend(answer(i32::from(otherwise)));
    code
}

fn answer(value: i32) -> [Instruction; 2] {
    [op(0xb7, 0, 0, value), op(0x95, 0, 0, 0)]
}

const fn op(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers, offset, immediate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_the_v1_controller_writes_them() {
        assert_eq!(line(&STANDARD[0]), "c 1:3 rwm");
        assert_eq!(line(&STANDARD[8]), "c 136:* rwm");
        assert_eq!(line(&STANDARD[10]), "b *:* m");
    }

    #[test]
    fn jumps_of_a_rule_end_at_the_next_rule() {
        let rules = [character(1, Some(3)), character(136, None)];
        let code = program(&rules, false);
        let starts: Vec<usize> =
            (0..code.len()).filter(|at| code[*at].code == 0x56 && code[*at].registers == 2).collect();
        assert_eq!(starts.len(), 2);
        for (at, i) in code.iter().enumerate().filter(|(_, i)| i.code == 0x56) {
            let target = at + 1 + i.offset as usize;
            let next = if at < starts[1] { starts[1] } else { code.len() - 2 };
            assert_eq!(target, next);
        }
    }

    #[test]
    fn extra_devices_are_what_the_host_says_they_are() {
        let device = |source: &str, access: &str| Device {
            source: source.into(),
            target: "/dev/x".to_owned(),
            access: access.to_owned(),
        };
        let rule = rule(&device("/dev/zero", "r")).unwrap();
        assert_eq!(rule, Rule { allow: true, block: Some(false), major: Some(1), minor: Some(5), access: READ });
        assert!(super::rule(&device("/etc/passwd", "rwm")).is_err());
    }
}
