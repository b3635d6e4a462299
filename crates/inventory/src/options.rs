//! What a scan may spend, and what it looks for.

use std::time::Duration;

/// Bounds on work done for one scan. Images are hostile: in entries, sizes, depth and expansion.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries read per layer or root directory. A million is a bomb's size; beyond it the rest is `unknown`.
    pub entries: u64,
    /// Bytes of one text file that is parsed as a whole (status files, lock files).
    pub text_bytes: u64,
    /// Bytes of one small metadata file (package.json, METADATA, copyright).
    pub metadata_bytes: u64,
    /// Bytes of one archive or binary that is looked into.
    pub binary_bytes: u64,
    /// Uncompressed bytes read out of one archive file, all nesting levels together.
    pub inflated_bytes: u64,
    /// Time for looking into one file; what is not read by then is `unknown`.
    pub file_time: Duration,
    /// Archives within archives.
    pub nesting: u32,
    /// Packages that one file may list.
    pub packages_per_file: usize,
    /// Directories below the root.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            text_bytes: 128 << 20,
            metadata_bytes: 4 << 20,
            binary_bytes: 4 << 30,
            inflated_bytes: 512 << 20,
            file_time: Duration::from_secs(20),
            nesting: 8,
            packages_per_file: 200_000,
            depth: 1024,
        }
    }
}

/// What packages of lock files are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locks {
    /// In source trees they count; in systems only those whose packages are not installed.
    #[default]
    Auto,
    /// All count.
    All,
    /// None counts.
    None,
}

/// How a scan is done.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bounds on the work.
    pub limits: Limits,
    /// Threads to use; 0 means one for each processor, at most 8.
    pub threads: usize,
    /// Keep language packages whose files belong to a package of the distribution (marked `owned_by_os`).
    pub keep_owned: bool,
    /// What packages of lock files are worth.
    pub locks: Locks,
    /// Also look for credentials in every file.
    pub secrets: bool,
    /// Also look for weak modes of files, shared host keys and empty passwords.
    pub checks: bool,
    /// Keep, of layers that come as streams, what programs need to start: [`crate::entry_files_of`] answers from it.
    pub startup: bool,
    /// Paths relative to the root that are not entered.
    pub skip: Vec<String>,
}
