//! The kernel's calls that no safe wrapper offers. The only module with `unsafe`.
//!
//! Every function here is one call (or one indivisible protocol, as in `aside`), takes safe types, and returns the
//! kernel's answer as [`Errno`]. Nothing allocates unless it says so: much of it runs in a child between clone and
//! exec, where another thread of the parent may have held the allocator's lock at the moment of the clone.

pub(crate) mod bpf;
pub(crate) mod clone;
pub(crate) mod cred;
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod entry;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod signal;
pub(crate) mod task;

use rustix::io::Errno;

/// The kernel's answer to a raw call made through libc's `syscall`, which leaves the error in errno.
fn check(answer: libc::c_long) -> Result<libc::c_long, Errno> {
    if answer < 0 { Err(last_errno()) } else { Ok(answer) }
}

fn last_errno() -> Errno {
    // JUSTIFICATION: errno is read without std::io::Error to keep this usable in a child.
    // SAFETY: __errno_location returns a valid pointer to this thread's errno.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
