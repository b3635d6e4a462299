//! The policies `compat` and `standard`, as lists by purpose.
//!
//! `compat` allows what docker's default profile allows (moby `profiles/seccomp/default.json`, including its conditions
//! on capabilities). `standard` starts from the same everyday calls and leaves out what containers rarely need and
//! kernel exploits often start from.

use super::calls::{COMPAT_ONLY, EVERYDAY, NOT_THERE, WITH_CAPABILITY};
use super::{int_is, masked, rule, rule_if};
use crate::{Capabilities, SeccompAction, SeccompExtra, SeccompPolicy, SeccompRule, caps};

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;
const EPROTONOSUPPORT: u16 = 93;
const EAFNOSUPPORT: u16 = 97;
const ALLOW: SeccompAction = SeccompAction::Allow;

/// All `CLONE_NEW*` flags that clone(2) takes.
const CLONE_NEW: u64 = 0x7e02_0000;

/// Flags that personality(2) may set: none, UNAME26, PER_LINUX32 and both; all ones asks.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const AF_PACKET: u32 = 17;
const AF_VSOCK: u32 = 40;

/// netlink protocols of everyday programs: routes (getaddrinfo, ip), socket lists (ss), audit (login, useradd), device
/// events (udev), generic. Netfilter, XFRM, crypto and others only with CAP_NET_ADMIN.
const NETLINK: [u32; 5] = [0, 4, 9, 15, 16];

const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

/// The filter of the `standard` level with its own capabilities.
pub fn standard() -> SeccompPolicy {
    standard_with(caps::STANDARD)
}

/// `standard`, plus the calls that belong to added capabilities (`--cap-add`).
pub fn standard_with(caps: Capabilities) -> SeccompPolicy {
    let mut rules = vec![
        // Typing into the terminal of whoever attached (TIOCSTI, and pasting on the console).
        rule_if("ioctl", SeccompAction::Errno(EPERM), &[int_is(1, TIOCSTI)]),
        rule_if("ioctl", SeccompAction::Errno(EPERM), &[int_is(1, TIOCLINUX)]),
        rule(&["ioctl"], ALLOW),
    ];
    rules.extend(EVERYDAY.iter().map(|calls| rule(calls, ALLOW)));
    rules.extend(personality());
    rules.extend(families(caps));
    rules.extend(for_capabilities(caps));
    rules.extend(new_processes());
    rules.push(rule(NOT_THERE, SeccompAction::Errno(ENOSYS)));
    SeccompPolicy {
        name: "standard".to_owned(),
        default_action: SeccompAction::Errno(EPERM),
        rules,
        extra: SeccompExtra::default(),
    }
}

/// Docker's default filter with docker's default capabilities.
pub fn compat() -> SeccompPolicy {
    compat_with(caps::DOCKER_DEFAULT)
}

/// Docker's default filter for these capabilities.
pub fn compat_with(caps: Capabilities) -> SeccompPolicy {
    let mut rules = vec![rule(&["ioctl"], ALLOW)];
    rules.extend(EVERYDAY.iter().map(|calls| rule(calls, ALLOW)));
    rules.push(rule(COMPAT_ONLY, ALLOW));
    rules.extend(personality());
    rules.push(rule_if("socket", SeccompAction::Errno(EPERM), &[int_is(0, AF_VSOCK)]));
    rules.push(rule(&["socket"], ALLOW));
    rules.extend(for_capabilities(caps));
    if caps.contains(caps::PERFMON) {
        rules.push(rule(&["perf_event_open"], ALLOW));
    }
    rules.extend(new_processes());
    rules.push(rule(NOT_THERE, SeccompAction::Errno(ENOSYS)));
    SeccompPolicy {
        name: "compat".to_owned(),
        default_action: SeccompAction::Errno(EPERM),
        rules,
        extra: SeccompExtra::default(),
    }
}

/// [`standard_with`] for a build step: flushing to disk succeeds without doing anything, because the layer is flushed
/// once when it is committed. Package managers flush every file.
pub fn build_step(caps: Capabilities) -> SeccompPolicy {
    let mut policy = standard_with(caps);
    let flushes = ["fsync", "fdatasync", "sync", "syncfs", "sync_file_range"];
    policy.rules.insert(0, rule(&flushes, SeccompAction::Errno(0)));
    policy.name = "build".to_owned();
    policy
}

fn personality() -> impl Iterator<Item = SeccompRule> {
    PERSONALITIES.iter().map(|value| rule_if("personality", ALLOW, &[int_is(0, *value)]))
}

/// New processes in the same namespaces. clone3 hides its flags from filters, so it does not exist (C libraries fall
/// back to clone). Rules for CAP_SYS_ADMIN come before and allow all.
fn new_processes() -> [SeccompRule; 1] {
    [rule_if("clone", ALLOW, &[masked(0, CLONE_NEW, 0)])]
}

fn for_capabilities(caps: Capabilities) -> impl Iterator<Item = SeccompRule> {
    WITH_CAPABILITY.iter().filter(move |(number, _)| caps.contains(*number)).map(|(_, calls)| rule(calls, ALLOW))
}

/// Families of sockets: local and internet ones; the rest of the kernel's forty families is where bugs live.
fn families(caps: Capabilities) -> Vec<SeccompRule> {
    let mut rules: Vec<SeccompRule> =
        [AF_UNIX, AF_INET, AF_INET6].iter().map(|f| rule_if("socket", ALLOW, &[int_is(0, *f)])).collect();
    if caps.contains(caps::NET_ADMIN) {
        rules.push(rule_if("socket", ALLOW, &[int_is(0, AF_NETLINK)]));
    } else {
        let protocols = NETLINK.iter().map(|p| rule_if("socket", ALLOW, &[int_is(0, AF_NETLINK), int_is(2, *p)]));
        rules.extend(protocols);
        rules.push(rule_if("socket", SeccompAction::Errno(EPROTONOSUPPORT), &[int_is(0, AF_NETLINK)]));
    }
    if caps.contains(caps::NET_RAW) {
        rules.push(rule_if("socket", ALLOW, &[int_is(0, AF_PACKET)]));
    }
    rules.push(rule(&["socket"], SeccompAction::Errno(EAFNOSUPPORT)));
    rules
}

#[cfg(test)]
mod tests {
    use super::super::compile::{answer, compile};
    use super::super::interpreter::{Call, evaluate};
    use super::super::table::number;
    use super::*;

    fn ask(policy: &SeccompPolicy, call: &str, args: [u64; 6]) -> u32 {
        evaluate(&compile(policy).unwrap(), &Call::native(number(call).unwrap(), args))
    }

    fn refused(policy: &SeccompPolicy, call: &str) -> bool {
        ask(policy, call, [0; 6]) & 0xffff_0000 == answer::ERRNO
    }

    const NO_ARGS: [u64; 6] = [0; 6];

    #[test]
    fn every_name_in_the_lists_is_a_call_or_belongs_to_another_architecture() {
        let elsewhere = ["stime", "lookup_dcookie"];
        let lists = EVERYDAY.iter().copied().chain([COMPAT_ONLY, NOT_THERE]).flatten();
        for name in lists.chain(WITH_CAPABILITY.iter().flat_map(|(_, calls)| *calls)) {
            assert!(cfg!(not(target_arch = "x86_64")) || number(name).is_some() || elsewhere.contains(name), "{name}");
        }
    }

    #[test]
    fn standard_refuses_what_exploits_start_from() {
        let p = standard();
        for call in [
            "bpf",
            "perf_event_open",
            "userfaultfd",
            "io_uring_setup",
            "io_uring_enter",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "keyctl",
            "add_key",
            "request_key",
            "kexec_load",
            "kexec_file_load",
            "init_module",
            "finit_module",
            "delete_module",
            "mount",
            "umount2",
            "move_mount",
            "open_tree",
            "fsopen",
            "mount_setattr",
            "pivot_root",
            "chroot",
            "unshare",
            "setns",
            "open_by_handle_at",
            "name_to_handle_at",
            "clone3",
            "reboot",
            "swapon",
            "sethostname",
            "settimeofday",
            "syslog",
            "acct",
            "iopl",
            "modify_ldt",
            "memfd_secret",
            "kcmp",
            "pidfd_getfd",
            "process_madvise",
            "fanotify_init",
            "quotactl",
            "vhangup",
            "nfsservctl",
            "open_tree_attr",
        ] {
            assert!(refused(&p, call), "{call}");
        }
        assert_eq!(ask(&p, "clone3", NO_ARGS), answer::ERRNO | 38);
        assert_eq!(ask(&p, "ioctl", [0, 0x5412, 0, 0, 0, 0]), answer::ERRNO | 1);
        assert_eq!(ask(&p, "ioctl", [0, 0x1_0000_5412, 0, 0, 0, 0]), answer::ERRNO | 1, "upper half is ignored");
        assert_eq!(ask(&p, "ioctl", [0, 0x5401, 0, 0, 0, 0]), answer::ALLOW);
    }

    #[test]
    fn new_namespaces_are_refused_and_new_threads_are_not() {
        for p in [standard(), compat()] {
            for flag in [17u32, 25, 26, 27, 28, 29, 30] {
                assert_eq!(ask(&p, "clone", [1 << flag | 17, 0, 0, 0, 0, 0]), answer::ERRNO | 1, "{flag}");
            }
            assert_eq!(ask(&p, "clone", [0x003d_0f00, 0, 0, 0, 0, 0]), answer::ALLOW);
        }
    }

    #[test]
    fn socket_families_and_netlink_protocols() {
        let p = standard();
        let socket = |family: u64, protocol: u64| ask(&p, "socket", [family, 1, protocol, 0, 0, 0]);
        for family in [1, 2, 10] {
            assert_eq!(socket(family, 0), answer::ALLOW);
        }
        assert_eq!(socket(16, 0), answer::ALLOW);
        assert_eq!(socket(16, 12), answer::ERRNO | 93, "netfilter");
        for family in [17, 38, 40, 44, 21, 1 << 32 | 40] {
            assert_eq!(socket(family, 0), answer::ERRNO | 97, "{family}");
        }
        let compat = compat();
        assert_eq!(ask(&compat, "socket", [40, 1, 0, 0, 0, 0]), answer::ERRNO | 1);
        assert_eq!(ask(&compat, "socket", [1 << 32 | 40, 1, 0, 0, 0, 0]), answer::ERRNO | 1);
        assert_eq!(ask(&compat, "socket", [38, 5, 0, 0, 0, 0]), answer::ALLOW);
    }

    #[test]
    fn capabilities_bring_their_calls() {
        let admin = standard_with(caps::STANDARD.with(Capabilities(1 << caps::SYS_ADMIN)));
        for call in ["mount", "unshare", "setns", "clone3", "bpf"] {
            assert_eq!(ask(&admin, call, NO_ARGS), answer::ALLOW, "{call}");
        }
        assert_eq!(ask(&admin, "clone", [1 << 28, 0, 0, 0, 0, 0]), answer::ALLOW);
        assert_eq!(ask(&compat(), "chroot", NO_ARGS), answer::ALLOW);
        assert_eq!(ask(&compat_with(caps::STANDARD), "chroot", NO_ARGS), answer::ERRNO | 1);
        assert_eq!(ask(&compat(), "ptrace", NO_ARGS), answer::ALLOW);
    }

    #[test]
    fn build_steps_skip_flushes_and_nothing_else_changes() {
        let p = build_step(caps::BUILD);
        for call in ["fsync", "fdatasync", "sync", "syncfs", "sync_file_range"] {
            assert_eq!(ask(&p, call, NO_ARGS), answer::ERRNO, "{call} succeeds");
        }
        assert_eq!(ask(&p, "msync", NO_ARGS), answer::ALLOW);
        assert_eq!(ask(&p, "chroot", NO_ARGS), answer::ALLOW);
        assert_eq!(ask(&standard(), "fsync", NO_ARGS), answer::ALLOW);
    }

    #[test]
    fn personality_cannot_disable_address_randomisation() {
        for p in [standard(), compat()] {
            assert_eq!(ask(&p, "personality", [0xffff_ffff, 0, 0, 0, 0, 0]), answer::ALLOW);
            assert_eq!(ask(&p, "personality", [0x0004_0000, 0, 0, 0, 0, 0]), answer::ERRNO | 1);
        }
    }

    #[test]
    fn programs_are_small() {
        for p in [standard(), compat(), super::super::strict(), build_step(caps::BUILD)] {
            let length = compile(&p).unwrap().len();
            assert!(length < 500, "{}: {length}", p.name);
        }
    }
}
