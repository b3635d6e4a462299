//! Whether compressing a layer would win anything: a look at some of its bytes.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};

use super::MAX_DEPTH;
use super::remove::list;
use crate::error::{ImageError, Result, shown};

/// Smallest file that is looked into, in bytes.
const LARGE_BYTES: u64 = 16 << 20;
/// Smallest file that packing may store with holes: see `pack`.
const MIN_SPARSE_BYTES: u64 = 1 << 20;
/// How many places of a file are looked at, and how many bytes there.
const PLACES: u64 = 8;
const PLACE_BYTES: usize = 64 * 1024;

/// What a directory's bytes are like.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// Bytes of regular files.
    pub total: u64,
    /// Bytes of those that were looked into.
    pub large: u64,
    /// A file has holes.
    pub sparse: bool,
    read: u64,
    compressed: u64,
}

impl Sample {
    /// Of what was looked at, compression saves less than a twentieth.
    pub fn is_dense(&self) -> bool {
        self.read > 0 && self.compressed.saturating_mul(20) >= self.read.saturating_mul(19)
    }
}

/// Walks a directory tree; reads at most half a megabyte of each large file.
///
/// Errors: a directory or file that cannot be read.
pub(crate) fn sample(root: impl AsFd) -> Result<Sample> {
    let failed = |e: rustix::io::Errno| ImageError::io("open", ".", e.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut found = Sample::default();
    let mut pending = vec![(openat(root, ".", flags, Mode::empty()).map_err(failed)?, 0)];
    while let Some((dir, depth)) = pending.pop() {
        for (name, kind) in list(&dir).map_err(failed)? {
            match kind {
                FileType::Directory if depth < MAX_DEPTH => {
                    pending.push((openat(&dir, name.as_slice(), flags, Mode::empty()).map_err(failed)?, depth + 1));
                }
                FileType::RegularFile => {
                    found.file(&dir, &name).map_err(|e| ImageError::io("read", shown(&name), e))?
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

impl Sample {
    fn file(&mut self, dir: &OwnedFd, name: &[u8]) -> std::io::Result<()> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.total += size;
        self.sparse |=
            size >= MIN_SPARSE_BYTES && u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size;
        if size < LARGE_BYTES {
            return Ok(());
        }
        self.large += size;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(dir, name, flags, Mode::empty())?);
        let mut bytes = vec![0; PLACE_BYTES];
        for place in 0..PLACES {
            let read = file.read_at(&mut bytes, size / PLACES * place)?;
            let read = bytes.get(..read).unwrap_or_default();
            self.read += read.len() as u64;
            self.compressed += zstd::bulk::compress(read, 1)?.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_dense_and_text_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(usize::try_from(LARGE_BYTES).unwrap())
        .collect();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/noise"), &noise).unwrap();
        let open = || File::open(dir.path()).unwrap();
        let found = sample(open()).unwrap();
        assert!(found.is_dense() && !found.sparse, "{found:?}");
        assert_eq!((found.total, found.large), (LARGE_BYTES, LARGE_BYTES));
        std::fs::write(dir.path().join("text"), b"abcdefgh".repeat(noise.len() / 8)).unwrap();
        assert!(!sample(open()).unwrap().is_dense());
        File::create(dir.path().join("hole")).unwrap().set_len(LARGE_BYTES).unwrap();
        assert!(sample(open()).unwrap().sparse);
    }
}
