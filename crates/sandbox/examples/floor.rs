//! The kernel's own price of a container: the namespaces, mounts, control groups and the exec that `oci run` needs with
//! crun's default configuration, and nothing else: no configuration is read, nothing is checked, no state is kept.
//!
//! Usage: `floor ROOTFS`, as root, with `/bin/true` in ROOTFS and directories proc, dev and sys. For `benches/oci.sh`.
//! What a runtime takes beyond this is its own.

use std::ffi::CStr;
use std::ptr::null;

/// Ends with the name of what failed; a benchmark has nothing to clean up.
fn check(answer: i64, what: &str) -> i64 {
    if answer < 0 {
        eprintln!("floor: {what}: {}", std::io::Error::last_os_error());
        std::process::exit(1);
    }
    answer
}

fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u64, data: &CStr) {
    // JUSTIFICATION: the bare call is what is measured.
    // SAFETY: all strings are nul-terminated constants.
    let answer = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags, data.as_ptr().cast()) };
    check(answer.into(), "mount");
}

fn unshare(flags: i32) {
    // SAFETY: the call takes a number, and this process has one thread.
    check(unsafe { libc::unshare(flags) }.into(), "unshare");
}

fn main() {
    let root = std::env::args().nth(1).unwrap_or_else(|| {
        eprintln!("usage: floor ROOTFS");
        std::process::exit(2)
    });
    let root = std::ffi::CString::new(root).unwrap_or_default();
    let groups = ["unified", "memory", "pids", "cpu", "cpuacct", "blkio"].map(|h| {
        let base = format!("/sys/fs/cgroup/{h}");
        let base = if std::path::Path::new(&base).is_dir() { base } else { "/sys/fs/cgroup".to_owned() };
        format!("{base}/stockade-floor-{}", std::process::id())
    });
    for group in &groups {
        let _ = std::fs::create_dir(group);
        let _ = std::fs::write(format!("{group}/cgroup.procs"), "0");
    }
    unshare(libc::CLONE_NEWNS | libc::CLONE_NEWPID);
    mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE, c"");
    // SAFETY: the child runs system calls and ends in exec; this process has one thread.
    let child = check(unsafe { libc::fork() }.into(), "fork");
    if child == 0 {
        inside(&root);
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    check(unsafe { libc::waitpid(child as i32, &raw mut status, 0) }.into(), "waitpid");
    for group in &groups {
        // This process is still in it, as runtimes are not; the move costs what theirs does.
        let parent = std::path::Path::new(group).parent().map(|p| p.join("cgroup.procs"));
        let _ = parent.map(|p| std::fs::write(p, "0"));
        let _ = std::fs::remove_dir(group);
    }
    std::process::exit(i32::from(status != 0));
}

/// The container's side.
fn inside(root: &CStr) -> ! {
    unshare(libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP);
    mount(root, root, c"none", libc::MS_BIND | libc::MS_REC, c"");
    // SAFETY: a nul-terminated string.
    check(unsafe { libc::chdir(root.as_ptr()) }.into(), "chdir");
    mount(c"proc", c"proc", c"proc", 0, c"");
    mount(c"tmpfs", c"dev", c"tmpfs", 0, c"size=64k");
    for dir in [c"dev/pts", c"dev/shm", c"dev/mqueue"] {
        // SAFETY: a nul-terminated constant.
        unsafe { libc::mkdir(dir.as_ptr(), 0o755) };
    }
    mount(c"devpts", c"dev/pts", c"devpts", 0, c"newinstance");
    mount(c"shm", c"dev/shm", c"tmpfs", 0, c"");
    mount(c"mqueue", c"dev/mqueue", c"mqueue", 0, c"");
    mount(c"sysfs", c"sys", c"sysfs", 0, c"");
    // Masked and read-only paths, a dozen binds.
    for _ in 0..12 {
        mount(c"proc/sys", c"proc/sys", c"none", libc::MS_BIND, c"");
    }
    // SAFETY: nul-terminated constants; the argument list ends with null and outlives the call.
    unsafe {
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()), "pivot_root");
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into(), "umount2");
        libc::chdir(c"/".as_ptr());
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let arguments = [c"true".as_ptr(), null()];
        libc::execv(c"/bin/true".as_ptr(), arguments.as_ptr());
    }
    check(-1, "execv");
    std::process::exit(1)
}
