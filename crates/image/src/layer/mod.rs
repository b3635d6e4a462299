//! Layers: tar streams that describe changes to a file system.
//!
//! [`unpack()`] turns one into a directory that overlayfs can use as a lower layer; [`pack()`] turns an overlay's upper
//! directory back into a tar, the same bytes for the same content. The sink hashes and compresses behind the packer.

mod dirs;
mod ingest;
mod pack;
mod reader;
mod remove;
mod same;
mod sample;
mod sink;
mod unpack;
mod whiteout;
mod xattrs;

pub(crate) use dirs::CleanPath;
pub(crate) use ingest::{Ingested, Keep, ingest};
pub use pack::{PackOptions, PackReport, PlainTarget, Target, pack};
pub use reader::{Compression, LayerReader};
pub(crate) use remove::remove_tree;
pub(crate) use same::differences;
pub(crate) use sample::sample;
pub(crate) use sink::{HashingReader, HashingWriter, LayerSink};
pub use unpack::unpack;
pub(crate) use unpack::unpack_tar;

/// Most entries of one layer. The largest images in common use hold some 300,000; each entry costs the unpacker
/// up to its path's length in memory.
pub const MAX_ENTRIES: u64 = 1 << 20;
/// Most bytes of file content in one layer: 256 GiB. Images of machine-learning models reach tens of gigabytes.
pub const MAX_TOTAL_BYTES: u64 = 1 << 38;
/// Longest path and longest link target: the kernel's `PATH_MAX`.
pub const MAX_PATH_BYTES: u64 = 4096;
/// Deepest path. Removal and packing hold one open directory for each level, within the usual 1024 descriptors.
pub const MAX_DEPTH: u64 = 256;
/// Largest extended header of one entry: what Go's reader accepts (1 MiB), so docker reads no more than we do.
pub const MAX_PAX_BYTES: u64 = 1 << 20;

/// Bounds on what one layer may hold. A layer beyond one fails with [`crate::ImageError::OverLimit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries in the tar ([`MAX_ENTRIES`]).
    pub entries: u64,
    /// Bytes of file content, holes of sparse files included ([`MAX_TOTAL_BYTES`]).
    pub total_bytes: u64,
    /// Bytes of one path ([`MAX_PATH_BYTES`]).
    pub path_bytes: u64,
    /// Directory levels of one path ([`MAX_DEPTH`]).
    pub depth: u64,
    /// Bytes of the extended header of one entry ([`MAX_PAX_BYTES`]).
    pub pax_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: MAX_ENTRIES,
            total_bytes: MAX_TOTAL_BYTES,
            path_bytes: MAX_PATH_BYTES,
            depth: MAX_DEPTH,
            pax_bytes: MAX_PAX_BYTES,
        }
    }
}

/// What happens with block and character devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Devices {
    /// They are left out and counted in the report.
    #[default]
    Skip,
    /// They are made, as far as the kernel lets this process.
    Create,
}

/// What happens with whiteouts (`.wh.NAME`) and opaque markers (`.wh..wh..opq`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whiteouts {
    /// They become overlayfs's own form (a character device 0:0, the xattr `trusted.overlay.opaque`), so that the
    /// directory can be a lower layer of an overlay mount.
    #[default]
    Overlay,
    /// As `Overlay`, with the xattr in the `user.` namespace, for overlay mounts with `userxattr`.
    OverlayUser,
    /// They remove what lies in the root already: several layers are unpacked over each other into one plain root.
    Apply,
    /// They are files like others (an archive that is no layer).
    Literal,
}

/// How a layer is unpacked.
#[derive(Debug, Clone, Default)]
pub struct UnpackOptions {
    /// Bounds.
    pub limits: Limits,
    /// Device nodes.
    pub devices: Devices,
    /// Whiteouts.
    pub whiteouts: Whiteouts,
    /// Leave owners as the calling user instead of setting those in the tar (for use without root).
    pub ignore_owners: bool,
    /// A directory entry whose name is a symbolic link to a directory in the root keeps the link (as `dpkg` does),
    /// where docker replaces the link by a directory.
    pub keep_directory_links: bool,
}

/// What an unpack did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnpackReport {
    /// Entries read.
    pub entries: u64,
    /// Bytes of regular files, as their sizes tell.
    pub bytes: u64,
    /// Whiteouts and opaque markers.
    pub whiteouts: u64,
    /// The root itself is opaque: nothing of lower layers is to be seen.
    pub root_opaque: bool,
    /// Device nodes that were left out, by policy.
    pub devices_skipped: u64,
    /// Extended attributes that were left out: not `user.*` and not `security.capability`, or not supported there.
    pub xattrs_skipped: u64,
    /// The first few things that were left out, as readable lines.
    pub notes: Vec<String>,
}

/// Prefix of a whiteout's name (OCI image-spec, "Whiteouts").
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Prefix of names that old union file systems kept for themselves.
pub(crate) const WHITEOUT_META: &[u8] = b".wh..wh.";
/// Name of the marker that hides all of a directory's lower content.
pub(crate) const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";

/// Whether an extended attribute belongs into a layer: file capabilities and what users set. Overlayfs's private
/// attributes, security labels of this machine and access control lists (docker drops them too) do not.
pub(crate) fn xattr_belongs(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// Whether a directory of an unpacked layer hides what lies below it in other layers.
pub(crate) fn is_opaque(dir: &std::path::Path) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        let mut value = [0u8; 1];
        matches!(rustix::fs::lgetxattr(dir, *name, &mut value[..]), Ok(1)) && value == *b"y"
    })
}
