//! Maps, and giving memory back.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use rustix::io::Errno;

/// A private read-only map of a whole file; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct ReadMap {
    address: NonNull<u8>,
    length: usize,
}

// JUSTIFICATION: raw pointers are neither Send nor Sync by default.
// SAFETY: the memory is never written through this type and lives until drop, whichever thread drops it.
unsafe impl Send for ReadMap {}
// SAFETY: shared references only read.
unsafe impl Sync for ReadMap {}

impl ReadMap {
    pub(crate) fn new(file: &File, length: usize) -> Result<Self, Errno> {
        if length == 0 {
            return Ok(Self { address: NonNull::dangling(), length });
        }
        // JUSTIFICATION: std has no mmap.
        // SAFETY: a new map at an address of the kernel's choice overlaps nothing.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return Err(super::last_errno());
        }
        NonNull::new(address.cast()).map(|address| Self { address, length }).ok_or(Errno::FAULT)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // JUSTIFICATION: the point of a map is to read it as memory.
        // SAFETY: `length` bytes at `address` are mapped readable until drop. The file is not shortened or changed
        // while mapped: the documented duty of MappedFile's callers.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.length) }
    }
}

impl Drop for ReadMap {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: address and length are those of the map made in `new`, and nobody borrows it any more.
            unsafe { libc::munmap(self.address.as_ptr().cast(), self.length) };
        }
    }
}

/// Drops the pages of `start..end` from memory; they come back from their file when next touched.
///
/// Only for ranges that are private maps of a file in which no page was ever written (`Anonymous: 0` in smaps):
/// a written page would lose its change.
pub(crate) fn forget_clean_pages(start: usize, end: usize) {
    // JUSTIFICATION: there is no safe way to shrink one's own resident set.
    // SAFETY: by the rule above the content after the next fault is byte for byte what it was. The address is only a
    // number to the kernel here.
    unsafe { libc::madvise(std::ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
}

/// Returns free heap memory to the kernel.
pub(crate) fn trim_heap() {
    // JUSTIFICATION: glibc keeps freed memory; no safe wrapper.
    // SAFETY: malloc_trim takes the allocator's own locks and frees only what is unused.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
