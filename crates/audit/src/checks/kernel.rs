//! The kernel that containers share with the host: its settings (sysctl) and what defends it.
//!
//! Sources: the kernel's Documentation/admin-guide/sysctl, the recommended settings of the Kernel Self Protection Project
//! (`KSPP:`), the tests of Lynis (`LYNIS:`).

use std::path::Path;

use super::HostCheck;
use crate::host::{Host, sysctl_path};
use crate::model::Degree::{High, Low, Medium};
use crate::model::{Degree, Meta, Verdict, meta_of};

/// A check of one kernel setting.
pub(crate) struct SysctlCheck {
    pub(crate) meta: Meta,
    /// Name of the setting, with dots.
    pub(crate) key: &'static str,
    /// What the fix sets.
    pub(crate) wanted: &'static str,
    /// Values that pass.
    good: fn(i64) -> bool,
}

meta_of!(Kernel, (level: u8, risk: Degree), level: level, effort: Low, risk: risk);

macro_rules! sysctl {
    ($id:literal, [$($r:literal),+], $level:literal, $risk:ident, $key:literal, $wanted:literal, $good:expr, $title:literal, $why:literal) => {
        SysctlCheck {
            meta: meta($id, &[$($r),+], $level, $risk, $title, $why, concat!("Set ", $key, " = ", $wanted, " in /etc/sysctl.d.")),
            key: $key,
            wanted: $wanted,
            good: $good,
        }
    };
}

/// All checks of settings.
#[rustfmt::skip]
pub(crate) static SYSCTLS: &[SysctlCheck] = &[
    sysctl!("kernel-pointers-shown", ["KSPP:kernel.kptr_restrict", "LYNIS:KRNL-6000"], 1, Low, "kernel.kptr_restrict", "1", |v| v >= 1,
        "Kernel addresses are hidden", "Addresses of the kernel are what an exploit needs first."),
    sysctl!("kernel-log-readable", ["KSPP:kernel.dmesg_restrict", "LYNIS:KRNL-6000"], 1, Low, "kernel.dmesg_restrict", "1", |v| v == 1,
        "The kernel's log is for root", "It tells addresses and hardware to every user, and to containers."),
    sysctl!("unprivileged-bpf", ["KSPP:kernel.unprivileged_bpf_disabled", "LYNIS:KRNL-6000"], 1, Low, "kernel.unprivileged_bpf_disabled", "1", |v| v >= 1,
        "Only root loads BPF programs", "The verifier has had many holes, each a way into the kernel."),
    sysctl!("bpf-jit-not-hardened", ["KSPP:net.core.bpf_jit_harden", "LYNIS:KRNL-6000"], 2, Low, "net.core.bpf_jit_harden", "2", |v| v == 2,
        "The BPF compiler blinds constants", "Constants of a BPF program can become an attacker's code in the kernel."),
    sysctl!("perf-for-everybody", ["KSPP:kernel.perf_event_paranoid", "LYNIS:KRNL-6000"], 1, Low, "kernel.perf_event_paranoid", "2", |v| v >= 2,
        "Users measure only their own programs", "Performance counters leak other programs' secrets and the kernel's layout."),
    sysctl!("ptrace-not-limited", ["KSPP:kernel.yama.ptrace_scope", "LYNIS:KRNL-6000"], 1, Low, "kernel.yama.ptrace_scope", "1", |v| v >= 1,
        "Programs trace only their children", "One program that is taken over can read the memory of all others of its user."),
    sysctl!("symlinks-not-protected", ["KSPP:fs.protected_symlinks", "LYNIS:KRNL-6000"], 1, Low, "fs.protected_symlinks", "1", |v| v == 1,
        "Links in shared directories are not followed", "A link in /tmp can make root overwrite any file."),
    sysctl!("hardlinks-not-protected", ["KSPP:fs.protected_hardlinks", "LYNIS:KRNL-6000"], 1, Low, "fs.protected_hardlinks", "1", |v| v == 1,
        "Hard links only to one's own files", "A link keeps a setuid program with a known hole after its update."),
    sysctl!("fifos-not-protected", ["KSPP:fs.protected_fifos", "LYNIS:KRNL-6000"], 1, Low, "fs.protected_fifos", "1", |v| v >= 1,
        "Pipes of others in shared directories are not opened", "A program that means to write its own file writes into somebody's pipe."),
    sysctl!("regular-files-not-protected", ["KSPP:fs.protected_regular", "LYNIS:KRNL-6000"], 1, Low, "fs.protected_regular", "1", |v| v >= 1,
        "Files of others in shared directories are not opened for writing", "A program that means to make its own file writes into somebody's."),
    sysctl!("setuid-core-dumps", ["KSPP:fs.suid_dumpable", "LYNIS:KRNL-6000"], 1, Low, "fs.suid_dumpable", "0", |v| v == 0,
        "Setuid programs leave no core dumps", "A dump holds what the program read as root."),
    sysctl!("address-layout-not-random", ["KSPP:kernel.randomize_va_space", "LYNIS:KRNL-6000"], 1, Low, "kernel.randomize_va_space", "2", |v| v == 2,
        "Address layout is random", "Fixed addresses make every memory fault an easy exploit."),
    sysctl!("kexec-allowed", ["KSPP:kernel.kexec_load_disabled", "LYNIS:KRNL-6000"], 2, Medium, "kernel.kexec_load_disabled", "1", |v| v == 1,
        "No other kernel can be started", "Root could replace the kernel with one of its own at once, past a verified boot."),
    sysctl!("userfaultfd-for-everybody", ["KSPP:vm.unprivileged_userfaultfd", "LYNIS:KRNL-6000"], 1, Low, "vm.unprivileged_userfaultfd", "0", |v| v == 0,
        "Only root pauses the kernel's page faults", "It makes races in the kernel easy to win."),
    sysctl!("line-disciplines-autoloaded", ["KSPP:dev.tty.ldisc_autoload", "LYNIS:KRNL-6000"], 2, Low, "dev.tty.ldisc_autoload", "0", |v| v == 0,
        "Terminal drivers are not loaded on demand", "Any user can have old, little tested drivers loaded."),
    sysctl!("io-uring-for-everybody", ["KSPP:kernel.io_uring_disabled"], 2, Medium, "kernel.io_uring_disabled", "1", |v| v >= 1,
        "io_uring is for chosen users", "It is large, young, and passes by seccomp filters."),
    sysctl!("sysrq-open", ["KSPP:kernel.sysrq", "LYNIS:KRNL-6000"], 2, Low, "kernel.sysrq", "176", |v| v == 0 || v & !(4 | 16 | 32 | 128) == 0,
        "The console's magic keys only sync and restart", "Whoever is at the console can kill, dump and debug."),
    sysctl!("no-reverse-path-filter", ["LYNIS:KRNL-6000"], 1, Medium, "net.ipv4.conf.all.rp_filter", "1", |v| v == 1 || v == 2,
        "Packets with a false source are dropped", "Others can send in the name of a container or of the host."),
    sysctl!("redirects-accepted", ["LYNIS:KRNL-6000"], 1, Low, "net.ipv4.conf.all.accept_redirects", "0", |v| v == 0,
        "ICMP redirects are not believed", "A neighbour can draw the host's traffic to itself."),
    sysctl!("redirects-accepted-v6", ["LYNIS:KRNL-6000"], 1, Low, "net.ipv6.conf.all.accept_redirects", "0", |v| v == 0,
        "ICMPv6 redirects are not believed", "A neighbour can draw the host's traffic to itself."),
    sysctl!("redirects-sent", ["LYNIS:KRNL-6000"], 1, Low, "net.ipv4.conf.all.send_redirects", "0", |v| v == 0,
        "No redirects are sent", "A host that routes for containers tells them ways past itself."),
    sysctl!("source-routes-accepted", ["LYNIS:KRNL-6000"], 1, Low, "net.ipv4.conf.all.accept_source_route", "0", |v| v == 0,
        "Senders do not choose the route", "A packet can pass by the firewall in front of a container."),
    sysctl!("no-syn-cookies", ["LYNIS:KRNL-6000"], 1, Low, "net.ipv4.tcp_syncookies", "1", |v| v >= 1,
        "A flood of connection requests is survived", "A few packets a second would stop every published port."),
];

impl SysctlCheck {
    pub(crate) fn test(&self, host: &Host) -> Verdict {
        let judge = |text: &str, at: &str| match text.split_whitespace().next().and_then(|v| v.parse().ok()) {
            Some(value) => Verdict::of((self.good)(value), format!("{at}: {text}")),
            None => Verdict::unknown(format!("{at}: `{text}` is no number")),
        };
        if host.is_live() {
            let path = sysctl_path(self.key);
            return match host.sysctl(self.key) {
                Ok(Some(text)) => judge(&text, &path),
                Ok(None) => Verdict::not_applicable(format!("{path}: this kernel has no such setting")),
                Err(why) => Verdict::unknown(format!("{path}: {why}")),
            };
        }
        match host.configured_sysctl(self.key) {
            Some((value, at)) => judge(&value, &at),
            None => Verdict::unknown(format!(
                "no file of this host image sets {}: the kernel that boots it decides; audit the running host",
                self.key
            )),
        }
    }
}

/// All other checks of the kernel.
#[rustfmt::skip]
pub(super) static CHECKS: &[HostCheck] = &[
    HostCheck { meta: meta("no-mandatory-access-control", ["LYNIS:MACF-6208"].as_slice(), 1, High, "AppArmor or SELinux confines programs",
        "Without one, nothing but the container's own limits holds a process that escapes.", "Boot with a kernel that has AppArmor or SELinux, for example lsm=landlock,yama,apparmor,bpf."),
        test: |h, _| live(h, "/sys/kernel/security/lsm", |text| {
            let known = ["apparmor", "selinux", "smack", "tomoyo"];
            Verdict::of(text.trim().split(',').any(|l| known.contains(&l)), format!("/sys/kernel/security/lsm: {}", text.trim()))
        }) },
    HostCheck { meta: meta("no-landlock", ["KSPP:CONFIG_SECURITY_LANDLOCK"].as_slice(), 2, High, "Landlock is on",
        "Programs, and Stockade's containers, cannot give up access to files by themselves.", "Boot with landlock in lsm=."),
        test: |h, _| live(h, "/sys/kernel/security/lsm", |text| {
            Verdict::of(text.trim().split(',').any(|l| l == "landlock"), format!("/sys/kernel/security/lsm: {}", text.trim()))
        }) },
    HostCheck { meta: meta("no-kernel-lockdown", ["KSPP:CONFIG_SECURITY_LOCKDOWN_LSM"].as_slice(), 2, High, "The kernel is locked down",
        "Root can change the running kernel, and so can whoever becomes root.", "Boot with lockdown=integrity."),
        test: |h, _| live(h, "/sys/kernel/security/lockdown", |text| {
            Verdict::of(!text.contains("[none]"), format!("/sys/kernel/security/lockdown: {}", text.trim()))
        }) },
    HostCheck { meta: meta("no-seccomp", ["KSPP:CONFIG_SECCOMP_FILTER"].as_slice(), 1, High, "The kernel filters system calls",
        "Without seccomp every container can attack every system call.", "Use a kernel with CONFIG_SECCOMP_FILTER."),
        test: |h, _| live(h, "/proc/sys/kernel/seccomp/actions_avail", |text| Verdict::pass(format!("/proc/sys/kernel/seccomp/actions_avail: {}", text.trim())))
            .or_absent("this kernel has no seccomp filters") },
    HostCheck { meta: meta("no-user-namespaces", ["LYNIS:KRNL-6000"].as_slice(), 1, Medium, "User namespaces can be made",
        "Without them root in a container is root on the host.", "Set user.max_user_namespaces above 0; limit who may make them with AppArmor rather than for all."),
        test: |h, _| live(h, "/proc/sys/user/max_user_namespaces", |text| {
            Verdict::of(text.trim().parse::<i64>().is_ok_and(|n| n > 0), format!("/proc/sys/user/max_user_namespaces: {}", text.trim()))
        }).or_absent("this kernel has no user namespaces") },
    HostCheck { meta: meta("core-dumps-piped", ["LYNIS:KRNL-5820"].as_slice(), 2, Low, "Core dumps start no program of the host",
        "A crash in a container starts this program as root on the host, with input that the container chose.", "Set kernel.core_pattern = core, or keep the program's package up to date."),
        test: |h, _| live(h, "/proc/sys/kernel/core_pattern", |text| {
            let text = text.trim();
            let program = text.strip_prefix('|').and_then(|p| p.split_whitespace().next());
            match program {
                None => Verdict::pass(format!("/proc/sys/kernel/core_pattern: {text}")),
                Some(p) => match h.stat(Path::new(p)) {
                    Ok(Some(f)) if f.uid != 0 || f.mode & 0o022 != 0 => Verdict::fail(format!("/proc/sys/kernel/core_pattern: {text}; others than root may change {p} ({}:{} {:o})", f.user, f.group, f.mode)),
                    Ok(_) => Verdict::manual(format!("/proc/sys/kernel/core_pattern: {text}")),
                    Err(why) => Verdict::unknown(format!("{p}: {why}")),
                },
            }
        }) },
    HostCheck { meta: meta("cpu-vulnerable", ["LYNIS:HRDN-7230"].as_slice(), 1, Medium, "Known faults of the processor are mitigated",
        "A container can read the memory of the host and of its neighbours.", "Update the kernel and the microcode; take mitigations=off off the kernel's command line."),
        test: |h, _| cpu(h) },
    HostCheck { meta: meta("weak-boot-options", ["KSPP:cmdline"].as_slice(), 1, Medium, "The kernel's command line switches no defence off",
        "What is off from boot on cannot be switched on later.", "Take the option out of the boot loader's settings."),
        test: |h, _| live(h, "/proc/cmdline", |text| {
            let weak = ["nokaslr", "mitigations=off", "nosmep", "nosmap", "nopti", "pti=off", "spectre_v2=off", "spec_store_bypass_disable=off",
                "l1tf=off", "mds=off", "apparmor=0", "selinux=0", "lockdown=none", "init_on_alloc=0", "slab_nomerge=0", "nosecurity"];
            let found: Vec<&str> = text.split_whitespace().filter(|w| weak.contains(w)).collect();
            if found.is_empty() { Verdict::pass("/proc/cmdline: none of the options that switch a defence off") } else { Verdict::fail(format!("/proc/cmdline: {}", found.join(" "))) }
        }) },
    HostCheck { meta: meta("modules-loadable", ["KSPP:kernel.modules_disabled"].as_slice(), 2, High, "No more kernel modules can be loaded",
        "Root, and a container with SYS_MODULE, can put code into the kernel.", "Set kernel.modules_disabled = 1 once all that is needed is loaded: only a reboot takes it back."),
        test: |h, _| live(h, "/proc/sys/kernel/modules_disabled", |text| {
            if text.trim() == "1" { Verdict::pass("/proc/sys/kernel/modules_disabled: 1") } else { Verdict::manual(format!("/proc/sys/kernel/modules_disabled: {}", text.trim())) }
        }).or_absent_pass("/proc/sys/kernel/modules_disabled is absent: this kernel loads no modules") },
];

/// Reads a file that only a running kernel has.
fn live(host: &Host, path: &str, test: impl FnOnce(&str) -> Verdict) -> Verdict {
    if !host.is_live() {
        return Verdict::not_applicable(format!("{path} is of a running kernel, and this is a host image"));
    }
    match host.read_text(Path::new(path)) {
        Ok(Some(text)) => test(&text),
        Ok(None) if path.starts_with("/sys/kernel/security/") => Verdict::unknown(format!(
            "{path} does not exist: mount -t securityfs securityfs /sys/kernel/security shows it"
        )),
        Ok(None) => Verdict::unknown(format!("{path} does not exist")),
        Err(why) => Verdict::unknown(format!("{path}: {why}")),
    }
}

impl Verdict {
    /// Turns "does not exist" into a failure: the kernel lacks it.
    fn or_absent(self, why: &str) -> Verdict {
        if self.evidence.ends_with(" does not exist") {
            Verdict::fail(format!("{}: {why}", self.evidence))
        } else {
            self
        }
    }

    fn or_absent_pass(self, why: &str) -> Verdict {
        if self.evidence.ends_with(" does not exist") { Verdict::pass(why) } else { self }
    }
}

/// What the kernel says of each known fault of the processor.
fn cpu(host: &Host) -> Verdict {
    const DIR: &str = "/sys/devices/system/cpu/vulnerabilities";
    if !host.is_live() {
        return Verdict::not_applicable("only a running kernel knows its processor, and this is a host image");
    }
    let mut vulnerable = Vec::new();
    let names = host.names_in(Path::new(DIR));
    for name in &names {
        match host.read_text(&Path::new(DIR).join(name)) {
            Ok(Some(text)) if text.starts_with("Vulnerable") => vulnerable.push(format!("{name}: {}", text.trim())),
            Ok(_) => {}
            Err(why) => return Verdict::unknown(format!("{DIR}/{name}: {why}")),
        }
    }
    if names.is_empty() {
        return Verdict::unknown(format!("{DIR} does not exist or is empty"));
    }
    if vulnerable.is_empty() {
        Verdict::pass(format!("{DIR}: {} faults known, none open", names.len()))
    } else {
        Verdict::fail(format!("{DIR}: {}", vulnerable.join("; ")))
    }
}

/// The setting that a check looks at, and what its fix sets.
pub(crate) fn setting(id: &str) -> Option<(&'static str, &'static str)> {
    SYSCTLS.iter().find(|c| c.meta.id == id).map(|c| (c.key, c.wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;

    #[test]
    fn what_a_fix_sets_passes_its_own_check() {
        for check in SYSCTLS {
            assert!((check.good)(check.wanted.parse().unwrap()), "{}", check.meta.id);
        }
    }

    #[test]
    fn a_host_image_is_judged_by_its_files_and_the_rest_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/sysctl.d")).unwrap();
        std::fs::write(dir.path().join("etc/sysctl.d/a.conf"), "kernel.dmesg_restrict = 0\nkernel.kptr_restrict=2\n")
            .unwrap();
        let host = Host::at(dir.path()).unwrap();
        let answer = |id: &str| SYSCTLS.iter().find(|c| c.meta.id == id).unwrap().test(&host);
        assert_eq!(answer("kernel-log-readable"), Verdict::fail("/etc/sysctl.d/a.conf:1: 0"));
        assert_eq!(answer("kernel-pointers-shown").answer, Answer::Pass);
        assert_eq!(answer("fifos-not-protected").answer, Answer::Unknown);
        for check in CHECKS {
            assert_eq!((check.test)(&host, None).answer, Answer::NotApplicable, "{}", check.meta.id);
        }
    }

    #[test]
    fn this_kernel_is_judged_without_panic() {
        let host = Host::live().unwrap();
        for check in SYSCTLS {
            assert!(!check.test(&host).evidence.is_empty());
        }
        for check in CHECKS {
            assert!(!(check.test)(&host, None).evidence.is_empty());
        }
    }
}
