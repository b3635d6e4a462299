//! The tar format: ustar, PAX and GNU, with sparse files (sources: POSIX.1-2017 `pax`, GNU tar manual, appendix D).
//!
//! Our own reader and writer, for three reasons: every length in a hostile archive must have a bound, all sparse
//! forms and binary extended attributes must come through, and both directions must agree with what docker reads.
//! Where two readers may understand an archive differently, this one follows Go's `archive/tar`, which docker uses.

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use reader::{TarReader, read_all};
pub use writer::{BLOCK, END_OF_ARCHIVE, EntryHead, padding, write_head};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Another name of an earlier file; the target is a path from the archive's root.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// One entry of an archive, as it claims to be. Nothing is checked but the form: the path may be absolute, hold `..`
/// or be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as written, without trailing slashes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky: `0..=0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length of the file as a reader of the file sees it, in bytes; 0 for everything but files.
    pub size: u64,
    /// Modification time: seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds within the second.
    pub mtime_nanos: u32,
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes: name, value; in the archive's order, each name once.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// For a sparse file, where its data lies: offset and length, ascending; everything else is a hole.
    pub sparse: Option<Vec<(u64, u64)>>,
}
