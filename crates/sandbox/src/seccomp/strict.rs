//! The policy `strict`: what a prepared program needs to serve, and nothing to set itself up with.

use super::{int_is, masked, rule, rule_if};
use crate::{SeccompAction, SeccompExtra, SeccompPolicy, SeccompRule};

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;
const EAFNOSUPPORT: u16 = 97;
const ALLOW: SeccompAction = SeccompAction::Allow;

/// Calls with any arguments.
#[rustfmt::skip]
const CALLS: &[&str] = &[
    "accept", "accept4", "access", "arch_prctl", "bind", "brk", "chdir", "clock_getres", "clock_gettime",
    "clock_nanosleep", "close", "close_range", "connect", "copy_file_range", "dup", "dup2", "dup3", "epoll_create1",
    "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "execve", "exit", "exit_group", "faccessat",
    "faccessat2", "fadvise64", "fallocate", "fchmod", "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "fsync",
    "ftruncate", "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "getcpu", "getcwd",
    "getdents64", "getegid", "geteuid", "getgid", "getgroups", "getpeername", "getpgrp", "getpid", "getppid",
    "getrandom", "getrusage", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "kill", "linkat",
    "listen", "lseek", "lstat", "madvise", "membarrier", "mincore", "mkdir", "mkdirat", "mremap", "munmap",
    "nanosleep", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2", "poll", "ppoll", "pread64", "preadv",
    "preadv2", "prlimit64", "pselect6", "pwrite64", "pwritev", "pwritev2", "read", "readlink", "readlinkat", "readv",
    "recvfrom", "recvmmsg", "recvmsg", "rename", "renameat", "renameat2", "restart_syscall", "rmdir", "rseq",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "sched_getaffinity", "sched_yield", "select", "sendfile", "sendmmsg", "sendmsg", "sendto", "set_robust_list",
    "set_tid_address", "setsockopt", "shutdown", "sigaltstack", "signalfd4", "socketpair", "stat", "statfs", "statx",
    "sysinfo", "tgkill", "time", "timer_create", "timer_delete", "timer_settime", "timerfd_create", "timerfd_settime",
    "times", "umask", "uname", "unlink", "unlinkat", "utimensat", "wait4", "waitid", "write", "writev",
];

/// ioctl requests on terminals and descriptors: TCGETS, TCSETS, TCSETSW, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO,
/// FIONCLEX, FIOCLEX.
const IOCTLS: [u32; 9] = [0x5401, 0x5402, 0x5403, 0x540f, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451];

/// prctl options: PDEATHSIG (set, get), DUMPABLE (get, set), NAME (set, get), CAPBSET_READ, NO_NEW_PRIVS (set, get),
/// SET_VMA (names of anonymous maps).
const PRCTLS: [u32; 10] = [1, 2, 3, 4, 15, 16, 23, 38, 39, 0x5356_4d41];

const PROT_WRITE_AND_EXEC: u64 = 0x6;
const CLONE_NEW: u64 = 0x7e02_0000;

/// The filter of the `strict` level. Memory is writable or executable, never both; sockets are local and internet ones.
pub fn strict() -> SeccompPolicy {
    let refuse = SeccompAction::Errno(EPERM);
    let mut rules: Vec<SeccompRule> = vec![rule(CALLS, ALLOW)];
    for call in ["mmap", "mprotect", "pkey_mprotect"] {
        rules.push(rule_if(call, refuse, &[masked(2, PROT_WRITE_AND_EXEC, PROT_WRITE_AND_EXEC)]));
    }
    rules.push(rule(&["mmap", "mprotect"], ALLOW));
    rules.push(rule_if("clone", ALLOW, &[masked(0, CLONE_NEW, 0)]));
    rules.push(rule(&["vfork"], ALLOW));
    rules.extend(IOCTLS.iter().map(|request| rule_if("ioctl", ALLOW, &[int_is(1, *request)])));
    rules.extend(PRCTLS.iter().map(|option| rule_if("prctl", ALLOW, &[int_is(0, *option)])));
    rules.extend([1, 2, 10].iter().map(|family| rule_if("socket", ALLOW, &[int_is(0, *family)])));
    // getaddrinfo asks for the machine's addresses: netlink, routes only.
    rules.push(rule_if("socket", ALLOW, &[int_is(0, 16), int_is(2, 0)]));
    rules.push(rule(&["socket"], SeccompAction::Errno(EAFNOSUPPORT)));
    rules.push(rule(&["clone3", "fchmodat2"], SeccompAction::Errno(ENOSYS)));
    SeccompPolicy { name: "strict".to_owned(), default_action: refuse, rules, extra: SeccompExtra::default() }
}

#[cfg(test)]
mod tests {
    use super::super::compile::{answer, compile};
    use super::super::interpreter::{Call, evaluate};
    use super::super::table::number;
    use super::*;

    fn ask(call: &str, args: [u64; 6]) -> u32 {
        evaluate(&compile(&strict()).unwrap(), &Call::native(number(call).unwrap(), args))
    }

    #[test]
    fn memory_is_writable_or_executable() {
        assert_eq!(ask("mmap", [0, 0, 3, 0, 0, 0]), answer::ALLOW);
        assert_eq!(ask("mmap", [0, 0, 5, 0, 0, 0]), answer::ALLOW);
        assert_eq!(ask("mmap", [0, 0, 7, 0, 0, 0]), answer::ERRNO | 1);
        assert_eq!(ask("mprotect", [0, 0, 6, 0, 0, 0]), answer::ERRNO | 1);
    }

    #[test]
    fn changing_identity_or_debugging_is_refused() {
        for call in ["setuid", "setgid", "setgroups", "chroot", "ptrace", "mknod", "chown", "capset", "setns", "bpf"] {
            assert_eq!(ask(call, [0; 6]), answer::ERRNO | 1, "{call}");
        }
        assert_eq!(ask("prctl", [22, 0, 0, 0, 0, 0]), answer::ERRNO | 1);
        assert_eq!(ask("prctl", [15, 0, 0, 0, 0, 0]), answer::ALLOW);
    }

    #[test]
    fn there_are_not_many_calls() {
        assert!(CALLS.len() <= 160, "{}", CALLS.len());
        assert!(CALLS.iter().all(|c| cfg!(not(target_arch = "x86_64")) || number(c).is_some()));
    }
}
