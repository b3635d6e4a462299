//! System calls by purpose, for the policies `standard` and `compat`.

use crate::caps;

/// Files and directories by path.
#[rustfmt::skip]
pub(super) const PATHS: &[&str] = &[
    "access", "chdir", "chmod", "chown", "creat", "faccessat", "faccessat2", "fchdir", "fchmod", "fchmodat",
    "fchmodat2", "fchown", "fchownat", "fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "fstat", "fstatfs",
    "futimesat", "getcwd", "getxattr", "getxattrat", "lchown", "lgetxattr", "link", "linkat", "listxattr",
    "listxattrat", "llistxattr", "lremovexattr", "lsetxattr", "lstat", "mkdir", "mkdirat", "mknod", "mknodat",
    "newfstatat", "open", "openat", "openat2", "readlink", "readlinkat", "removexattr", "removexattrat", "rename",
    "renameat", "renameat2", "rmdir", "setxattr", "setxattrat", "stat", "statfs", "statx", "symlink", "symlinkat",
    "truncate", "umask", "unlink", "unlinkat", "utime", "utimensat", "utimes",
];

/// Open files.
#[rustfmt::skip]
pub(super) const DESCRIPTORS: &[&str] = &[
    "cachestat", "close", "close_range", "copy_file_range", "dup", "dup2", "dup3", "fadvise64", "fallocate", "fcntl",
    "fdatasync", "flock", "fsync", "ftruncate", "getdents", "getdents64", "inotify_add_watch", "inotify_init",
    "inotify_init1", "inotify_rm_watch", "lseek", "memfd_create", "pipe", "pipe2", "pread64", "preadv", "preadv2",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readv", "sendfile", "splice", "sync", "sync_file_range",
    "syncfs", "tee", "vmsplice", "write", "writev",
];

/// Waiting for events, and the old asynchronous input and output.
#[rustfmt::skip]
pub(super) const EVENTS: &[&str] = &[
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "epoll_wait_old", "eventfd", "eventfd2", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup",
    "io_submit", "poll", "ppoll", "pselect6", "select", "signalfd", "signalfd4", "timerfd_create", "timerfd_gettime",
    "timerfd_settime",
];

#[rustfmt::skip]
pub(super) const MEMORY: &[&str] = &[
    "brk", "madvise", "map_shadow_stack", "membarrier", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mprotect",
    "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect",
    "remap_file_pages",
];

/// Processes, threads and their identity.
#[rustfmt::skip]
pub(super) const PROCESSES: &[&str] = &[
    "arch_prctl", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "get_robust_list",
    "get_thread_area", "getcpu", "getegid", "geteuid", "getgid", "getgroups", "getpgid", "getpgrp", "getpid",
    "getppid", "getpriority", "getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "gettid", "getuid",
    "ioprio_get", "ioprio_set", "kill", "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "process_mrelease",
    "restart_syscall", "rseq", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "set_robust_list", "set_thread_area",
    "set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups", "setpgid", "setpriority", "setregid",
    "setresgid", "setresuid", "setreuid", "setrlimit", "setsid", "setuid", "tgkill", "times", "tkill", "vfork",
    "wait4", "waitid",
];

#[rustfmt::skip]
pub(super) const SIGNALS: &[&str] = &[
    "pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_tgsigqueueinfo", "sigaltstack", "uretprobe",
];

#[rustfmt::skip]
pub(super) const TIME: &[&str] = &[
    "adjtimex", "alarm", "clock_adjtime", "clock_getres", "clock_gettime", "clock_nanosleep", "getitimer",
    "gettimeofday", "nanosleep", "setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_settime",
];

/// Everything of sockets but making one, which depends on the family.
#[rustfmt::skip]
pub(super) const SOCKETS: &[&str] = &[
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recvfrom",
    "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
];

/// Futexes, System V and POSIX communication.
#[rustfmt::skip]
pub(super) const COMMUNICATION: &[&str] = &[
    "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "mq_getsetattr", "mq_notify", "mq_open",
    "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget",
    "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
];

/// Questions to the system, and restrictions a program puts on itself.
#[rustfmt::skip]
pub(super) const SYSTEM: &[&str] = &[
    "getrandom", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp", "sysinfo",
    "uname",
];

pub(super) const EVERYDAY: [&[&str]; 10] =
    [PATHS, DESCRIPTORS, EVENTS, MEMORY, PROCESSES, SIGNALS, TIME, SOCKETS, COMMUNICATION, SYSTEM];

/// What docker's profile allows beyond [`EVERYDAY`] and `standard` does not:
/// asynchronous rings with a long list of kernel bugs, tracing of other processes, memory hidden from the kernel,
/// file handles that walk around directories, segment tables.
#[rustfmt::skip]
pub(super) const COMPAT_ONLY: &[&str] = &[
    "fanotify_mark", "io_uring_enter", "io_uring_register", "io_uring_setup", "memfd_secret", "modify_ldt",
    "name_to_handle_at", "process_vm_readv", "process_vm_writev", "ptrace",
];

/// Calls that only make sense with a capability, and are added with it.
#[rustfmt::skip]
pub(super) const WITH_CAPABILITY: [(u32, &[&str]); 13] = [
    (caps::DAC_READ_SEARCH, &["name_to_handle_at", "open_by_handle_at"]),
    (caps::SYS_ADMIN, &[
        "bpf", "clone", "clone3", "fanotify_init", "fanotify_mark", "fsconfig", "fsmount", "fsopen", "fspick",
        "listmount", "lookup_dcookie", "mount", "mount_setattr", "move_mount", "open_tree", "open_tree_attr",
        "perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns",
        "statmount", "syslog", "umount2", "unshare",
    ]),
    (caps::SYS_BOOT, &["reboot"]),
    (caps::SYS_CHROOT, &["chroot"]),
    (caps::SYS_MODULE, &["delete_module", "finit_module", "init_module"]),
    (caps::SYS_PACCT, &["acct"]),
    (caps::SYS_PTRACE, &[
        "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",
    ]),
    (caps::SYS_RAWIO, &["ioperm", "iopl"]),
    (caps::SYS_TIME, &["clock_settime", "settimeofday", "stime"]),
    (caps::SYS_TTY_CONFIG, &["vhangup"]),
    (caps::SYS_NICE, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (caps::SYSLOG, &["syslog"]),
    (caps::BPF, &["bpf"]),
];

/// Recent calls that are not allowed but that C libraries try: they fall back on `ENOSYS` only.
#[rustfmt::skip]
pub(super) const NOT_THERE: &[&str] = &[
    "clone3", "file_getattr", "file_setattr", "listmount", "lsm_get_self_attr", "lsm_list_modules",
    "lsm_set_self_attr", "open_tree_attr", "statmount",
];
