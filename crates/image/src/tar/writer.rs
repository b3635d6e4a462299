//! Writes headers: ustar, with an extended header only where ustar cannot say it.

use super::Kind;
use super::pax::{push_record, xattr_key};

/// Tar's unit, in bytes.
pub const BLOCK: usize = 512;
/// Two blocks of zeros end an archive.
pub const END_OF_ARCHIVE: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Largest number in a field of 7 octal digits.
const MAX_OCTAL_7: u64 = 0o7_777_777;
/// Largest number in a field of 11 octal digits.
const MAX_OCTAL_11: u64 = 0o77_777_777_777;
/// Name of the entry that carries an extended header; readers that know PAX never show it.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// What a header says. Owner and group names are never written: a layer has numbers only.
#[derive(Debug, Clone, Copy)]
pub struct EntryHead<'a> {
    /// Path; a directory's gets its slash from the writer.
    pub path: &'a [u8],
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of data that follow; 0 for everything but files.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Target of a link.
    pub link: &'a [u8],
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes, in the order to write.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
    /// For a sparse file (PAX format 1.0): its real size. `size` then counts the map and the data.
    pub sparse_size: Option<u64>,
}

/// Bytes of zeros after `size` bytes of data.
pub fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Appends the header blocks of an entry to `out`.
pub fn write_head(out: &mut Vec<u8>, head: &EntryHead<'_>) {
    let mut path = head.path.to_vec();
    if head.kind == Kind::Directory && !path.ends_with(b"/") {
        path.push(b'/');
    }
    let mut pax = Vec::new();
    let split = split_path(&path);
    if split.is_none() {
        push_record(&mut pax, b"path", &path);
    }
    if head.link.len() > 100 {
        push_record(&mut pax, b"linkpath", head.link);
    }
    let mut number = |key: &[u8], value: u64, limit: u64| {
        if value > limit {
            push_record(&mut pax, key, value.to_string().as_bytes());
        }
    };
    number(b"uid", u64::from(head.uid), MAX_OCTAL_7);
    number(b"gid", u64::from(head.gid), MAX_OCTAL_7);
    number(b"size", head.size, MAX_OCTAL_11);
    let mtime = u64::try_from(head.mtime).ok().filter(|t| *t <= MAX_OCTAL_11);
    if mtime.is_none() {
        push_record(&mut pax, b"mtime", head.mtime.to_string().as_bytes());
    }
    if let Some(size) = head.sparse_size {
        push_record(&mut pax, b"GNU.sparse.major", b"1");
        push_record(&mut pax, b"GNU.sparse.minor", b"0");
        push_record(&mut pax, b"GNU.sparse.name", &path);
        push_record(&mut pax, b"GNU.sparse.realsize", size.to_string().as_bytes());
    }
    for (name, value) in head.xattrs {
        push_record(&mut pax, &xattr_key(name), value);
    }
    if !pax.is_empty() {
        let fields = Fields { name: PAX_NAME, flag: b'x', mode: 0o644, size: pax.len() as u64, ..Fields::default() };
        out.extend_from_slice(&fields.block());
        out.extend_from_slice(&pax);
        out.resize(out.len() + usize::try_from(padding(pax.len() as u64)).unwrap_or(0), 0);
    }
    let (prefix, name) = split.unwrap_or((b"", path.get(..100).unwrap_or(&path)));
    let fields = Fields {
        name,
        prefix,
        flag: flag(head.kind),
        mode: head.mode,
        uid: u64::from(head.uid),
        gid: u64::from(head.gid),
        size: head.size,
        mtime: mtime.unwrap_or(0),
        link: head.link,
        device: head.device,
    };
    out.extend_from_slice(&fields.block());
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// Ustar's prefix (at most 155 bytes) and name (1 to 100 bytes), cut at a slash; `None` if no cut fits.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let first_cut = path.len() - 101;
    let cut = (first_cut..path.len().min(156)).find(|i| path.get(*i) == Some(&b'/'))?;
    let (prefix, name) = path.split_at(cut);
    let name = name.get(1..)?;
    if name.is_empty() || prefix.is_empty() { None } else { Some((prefix, name)) }
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    flag: u8,
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: u64,
    link: &'a [u8],
    device: (u32, u32),
}

impl Fields<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0u8; BLOCK];
        put(&mut block, 0, 100, self.name);
        put_octal(&mut block, 100, 7, u64::from(self.mode & 0o7777));
        put_octal(&mut block, 108, 7, self.uid);
        put_octal(&mut block, 116, 7, self.gid);
        put_octal(&mut block, 124, 11, self.size);
        put_octal(&mut block, 136, 11, self.mtime);
        put(&mut block, 148, 8, b"        ");
        put(&mut block, 156, 1, &[self.flag]);
        put(&mut block, 157, 100, self.link);
        put(&mut block, 257, 8, b"ustar\x0000");
        put_octal(&mut block, 329, 7, u64::from(self.device.0));
        put_octal(&mut block, 337, 7, u64::from(self.device.1));
        put(&mut block, 345, 155, self.prefix);
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        put_octal(&mut block, 148, 6, sum);
        put(&mut block, 154, 2, b"\0 ");
        block
    }
}

/// At most `len` bytes at `at`.
fn put(block: &mut [u8; BLOCK], at: usize, len: usize, bytes: &[u8]) {
    let bytes = bytes.get(..len).unwrap_or(bytes);
    if let Some(field) = block.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}

/// `digits` octal digits; a number that does not fit (its true value is in the extended header) becomes 0.
fn put_octal(block: &mut [u8; BLOCK], at: usize, digits: usize, value: u64) {
    let text = format!("{value:0digits$o}");
    put(block, at, digits, if text.len() > digits { b"00000000000" } else { text.as_bytes() });
}

#[cfg(test)]
mod tests {
    use super::super::reader::read_all;
    use super::*;
    use crate::layer::Limits;

    fn head<'a>(path: &'a [u8], kind: Kind) -> EntryHead<'a> {
        EntryHead {
            path,
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1_700_000_000,
            link: b"",
            device: (0, 0),
            xattrs: &[],
            sparse_size: None,
        }
    }

    #[track_caller]
    fn round_trip(head: &EntryHead<'_>, blocks: usize) {
        let mut out = Vec::new();
        write_head(&mut out, head);
        assert_eq!(out.len(), blocks * BLOCK, "blocks");
        out.extend_from_slice(&END_OF_ARCHIVE);
        let found = read_all(&out, &Limits::default()).unwrap();
        assert_eq!(found.len(), 1);
        let entry = &found[0].0;
        assert_eq!(entry.path, head.path);
        assert_eq!((entry.kind, entry.mode, entry.uid, entry.gid), (head.kind, head.mode, head.uid, head.gid));
        assert_eq!((entry.mtime, entry.link.as_slice(), entry.device), (head.mtime, head.link, head.device));
        assert_eq!(entry.xattrs, head.xattrs);
    }

    #[test]
    fn heads_round_trip_and_use_pax_only_where_needed() {
        round_trip(&head(b"usr/bin/env", Kind::File), 1);
        round_trip(&head("etc/größe".as_bytes(), Kind::Directory), 1);
        let long = [vec![b'd'; 90], b"/".to_vec(), vec![b'f'; 99]].concat();
        round_trip(&head(&long, Kind::File), 1);
        round_trip(&head(&[long.clone(), b"/".to_vec(), long.clone()].concat(), Kind::File), 3);
        round_trip(&head(&[b'x'; 101], Kind::File), 3);
        round_trip(&head(&[b'x'; 100], Kind::Directory), 3);
        round_trip(&EntryHead { link: &[b't'; 101], ..head(b"l", Kind::Symlink) }, 3);
        round_trip(&EntryHead { uid: 2_097_152, gid: u32::MAX, ..head(b"f", Kind::File) }, 3);
        round_trip(&EntryHead { mtime: -5, ..head(b"f", Kind::File) }, 3);
        round_trip(&EntryHead { mtime: 8_589_934_592, ..head(b"f", Kind::File) }, 3);
        round_trip(&EntryHead { device: (5, 1), mode: 0o4755, ..head(b"c", Kind::CharDevice) }, 1);
        let xattrs = [(b"security.capability".to_vec(), vec![1, 0, 0, 2, 10, 0, 255])];
        round_trip(&EntryHead { xattrs: &xattrs, ..head(b"f", Kind::File) }, 3);
    }

    proptest::proptest! {
        #[test]
        fn any_path_and_link_round_trip(
            path in proptest::collection::vec(1u8..=255, 1..600),
            link in proptest::collection::vec(1u8..=255, 0..300),
        ) {
            proptest::prop_assume!(!path.ends_with(b"/"));
            let mut out = Vec::new();
            write_head(&mut out, &EntryHead { link: &link, ..head(&path, Kind::Symlink) });
            let found = read_all(&out, &Limits::default()).unwrap();
            proptest::prop_assert_eq!(&found[0].0.path, &path);
            proptest::prop_assert_eq!(&found[0].0.link, &link);
        }

        #[test]
        fn any_bytes_read_or_fail_but_never_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4096)) {
            let _ = read_all(&bytes, &Limits::default());
            // With right checksums the parser behind them is reached.
            for block in bytes.chunks_mut(BLOCK).filter(|b| b.len() == BLOCK) {
                block[148..156].fill(b' ');
                let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            let _ = read_all(&bytes, &Limits::default());
        }
    }
}
