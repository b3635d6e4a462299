//! Archives that `ADD` unpacks, and contexts that come as one.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;

use stockade_image::layer::{Devices, Whiteouts};
use stockade_image::{LayerReader, UnpackOptions};

use crate::error::BuildError;

/// Limit of the decoder's memory for xz, in bytes: what `xz -9` needs, twice.
const XZ_MEMORY: u64 = 130 << 20;

/// An open archive.
pub(crate) struct Archive {
    file: File,
    xz: bool,
}

/// Opens `path` if it is a tar archive, plain or compressed with gzip, zstd or xz. `None`: it is something else.
///
/// # Errors
/// A bzip2 archive is refused by name: copying it as a file would not be what `ADD` promises.
pub(crate) fn open(path: &Path) -> Result<Option<Archive>, BuildError> {
    let mut file = crate::walk::open(path)?;
    let mut magic = [0u8; 6];
    let count = read_up_to(&mut file, &mut magic).map_err(BuildError::io("read", path))?;
    let magic = magic.get(..count).unwrap_or_default();
    if magic.starts_with(b"BZh") {
        return Err(BuildError::Usage(format!(
            "`{}` is compressed with bzip2, which this version cannot unpack; compress it with gzip, xz or zstd",
            path.display()
        )));
    }
    let archive = Archive { file, xz: magic.starts_with(b"\xFD7zXZ\0") };
    let is_tar = match archive.reader() {
        Ok(mut reader) => looks_like_tar(&mut reader),
        Err(_) => false,
    };
    Ok(is_tar.then_some(archive))
}

impl Archive {
    /// The uncompressed tar, from its start.
    pub(crate) fn reader(&self) -> Result<Box<dyn Read + Send>, BuildError> {
        let whole = |e| BuildError::io("read", Path::new("archive"))(e);
        let mut file = self.file.try_clone().map_err(whole)?;
        file.seek(SeekFrom::Start(0)).map_err(whole)?;
        if !self.xz {
            return Ok(Box::new(LayerReader::new(std::io::BufReader::new(file))?));
        }
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
            .map_err(|e| whole(e.into()))?;
        Ok(Box::new(liblzma::read::XzDecoder::new_stream(file, stream)))
    }

    /// Names of the directories that the archive itself lists, cleaned. Others come into being only because something
    /// lies in them, and must not replace a symlink of the image.
    pub(crate) fn listed_directories(&self) -> Result<HashSet<Vec<u8>>, BuildError> {
        let broken = |e| BuildError::io("read", Path::new("archive"))(e);
        let mut out = HashSet::new();
        let mut tar = tar::Archive::new(self.reader()?);
        for entry in tar.entries().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            if entry.header().entry_type().is_dir() {
                out.insert(crate::merged::split(&entry.path_bytes()).join(&b'/'));
            }
        }
        Ok(out)
    }
}

/// Unpacks into an empty directory of ours.
pub(crate) fn unpack_plain(archive: Archive, into: &Path) -> Result<(), BuildError> {
    let root = File::open(into).map_err(BuildError::io("open", into))?;
    let options = UnpackOptions { devices: Devices::Skip, whiteouts: Whiteouts::Literal, ..UnpackOptions::default() };
    stockade_image::layer::unpack(archive.reader()?, root.as_fd(), &options)?;
    Ok(())
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|r| !r.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => count += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(count)
}

/// Whether the first block has a tar header's checksum (POSIX.1-1988, "ustar").
fn looks_like_tar(reader: &mut impl Read) -> bool {
    let mut block = [0u8; 512];
    if !matches!(read_up_to(reader, &mut block), Ok(512)) {
        return false;
    }
    let Some(field) = block.get(148..156) else { return false };
    let text = String::from_utf8_lossy(field);
    let Ok(expected) = u32::from_str_radix(text.trim_matches([' ', '\0']), 8) else { return false };
    let sum: u32 =
        block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    sum == expected && sum != 256
}
