//! Binary packages: an `ar` archive of three members (deb(5)), two of them compressed tars.

use std::io::{self, BufReader, Read};

/// Largest control archive, unpacked, in bytes. The largest in Debian (a package with thousands of md5sums) is 3 MB.
const MAX_CONTROL_BYTES: u64 = 64 << 20;
/// Largest data archive, unpacked, in bytes: ten times what a whole base image takes.
const MAX_DATA_BYTES: u64 = 2 << 30;
/// Memory that an xz stream may ask for, in bytes: `xz -9` takes 65 MB.
const MAX_XZ_MEMORY: u64 = 256 << 20;
/// zstd window that a stream may ask for, as a power of two: `zstd --ultra -22` takes 27.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// A member of an `ar` archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name without padding.
    pub name: &'a str,
    /// Content.
    pub data: &'a [u8],
}

/// Splits an `ar` archive (ar(5), common format, short names only).
///
/// # Errors
/// What is wrong, and at which byte.
pub fn ar_members(bytes: &[u8]) -> Result<Vec<Member<'_>>, String> {
    let mut members = Vec::new();
    let mut at = 8;
    if bytes.get(..8) != Some(b"!<arch>\n") {
        return Err("it is no ar archive".into());
    }
    while at < bytes.len() {
        let header = bytes.get(at..at + 60).ok_or_else(|| format!("it is cut off at byte {at}"))?;
        let text = std::str::from_utf8(header).map_err(|_| format!("its header at byte {at} is no text"))?;
        if text.get(58..60) != Some("`\n") {
            return Err(format!("its header at byte {at} is damaged"));
        }
        let name = text.get(..16).unwrap_or("").trim_end().trim_end_matches('/');
        let size: usize = text
            .get(48..58)
            .and_then(|s| s.trim_end().parse().ok())
            .ok_or_else(|| format!("its header at byte {at} has no size"))?;
        let from = at + 60;
        let data = from.checked_add(size).and_then(|to| bytes.get(from..to));
        members.push(Member { name, data: data.ok_or_else(|| format!("its member `{name}` is cut off"))? });
        // Members start at even offsets.
        at = from + size + size % 2;
    }
    Ok(members)
}

/// The two archives inside a package, still compressed.
#[derive(Debug, Clone, Copy)]
pub struct Deb<'a> {
    control: Member<'a>,
    data: Member<'a>,
}

impl<'a> Deb<'a> {
    /// Finds the parts of a package of format 2.
    ///
    /// # Errors
    /// What is missing.
    pub fn open(bytes: &'a [u8]) -> Result<Deb<'a>, String> {
        let members = ar_members(bytes)?;
        match members.first() {
            Some(m) if m.name == "debian-binary" && m.data.starts_with(b"2.") => {}
            _ => return Err("it is no Debian package of format 2".into()),
        }
        let find = |prefix: &str| {
            let is = |m: &&Member<'_>| m.name == prefix || m.name.starts_with(&format!("{prefix}."));
            members.iter().find(is).copied().ok_or_else(|| format!("it has no member `{prefix}`"))
        };
        Ok(Deb { control: find("control.tar")?, data: find("data.tar")? })
    }

    /// The control archive as tar stream.
    ///
    /// # Errors
    /// An unknown compression.
    pub fn control(&self) -> io::Result<Box<dyn Read + 'a>> {
        decompress(self.control, MAX_CONTROL_BYTES)
    }

    /// The data archive as tar stream.
    ///
    /// # Errors
    /// An unknown compression.
    pub fn data(&self) -> io::Result<Box<dyn Read + 'a>> {
        decompress(self.data, MAX_DATA_BYTES)
    }
}

fn decompress(member: Member<'_>, limit: u64) -> io::Result<Box<dyn Read + '_>> {
    let inner: Box<dyn Read + '_> = match member.name.rsplit('.').next() {
        Some("tar") => Box::new(member.data),
        Some("xz") => Box::new(xz(member.data)?),
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(member.data)),
        Some("zst") => Box::new(zstd_reader(member.data)?),
        _ => return Err(io::Error::other(format!("its member `{}` has an unknown compression", member.name))),
    };
    Ok(Box::new(BufReader::with_capacity(128 << 10, Limited { inner, left: limit })))
}

/// An xz decoder with a bound on memory.
pub(crate) fn xz(data: &[u8]) -> io::Result<impl Read + use<'_>> {
    let stream = liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, 0).map_err(io::Error::other)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(data, stream))
}

fn zstd_reader(data: &[u8]) -> io::Result<impl Read + use<'_>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(data)?;
    decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// Fails, instead of ending, where a stream is longer than allowed: a cut-off archive must not look whole.
pub(crate) struct Limited<R> {
    pub(crate) inner: R,
    /// Bytes still allowed.
    pub(crate) left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than Stockade accepts (a decompression bomb?)"))?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, data: &[u8]) -> Vec<u8> {
        let mut out = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, data.len()).into_bytes();
        out.extend_from_slice(data);
        out.extend((data.len() % 2 == 1).then_some(b'\n'));
        out
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = b"!<arch>\n".to_vec();
        members.iter().for_each(|(n, d)| out.extend(member(n, d)));
        out
    }

    #[test]
    fn members_are_found() {
        let bytes =
            archive(&[("debian-binary", b"2.0\n"), ("_extra", b"x"), ("control.tar/", b"c"), ("data.tar.xz", b"d")]);
        let deb = Deb::open(&bytes).unwrap();
        assert_eq!((deb.control.data, deb.data.name), (&b"c"[..], "data.tar.xz"));
    }

    #[test]
    fn damage_is_named() {
        let bytes = archive(&[("debian-binary", b"2.0\n"), ("control.tar", b"control")]);
        assert!(Deb::open(&bytes).unwrap_err().contains("data.tar"));
        assert!(Deb::open(&bytes[..bytes.len() - 3]).unwrap_err().contains("cut off"));
        assert!(Deb::open(b"<html>").unwrap_err().contains("ar archive"));
        assert!(Deb::open(&archive(&[("debian-binary", b"3.0\n")])).unwrap_err().contains("format 2"));
    }

    #[test]
    fn a_bomb_ends_in_an_error() {
        let mut limited = Limited { inner: io::repeat(0), left: 100_000 };
        assert!(io::copy(&mut limited, &mut io::sink()).unwrap_err().to_string().contains("bomb"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_open_or_fail_but_never_panic(tail: Vec<u8>, flip in 0usize..200, with: u8) {
            let mut bytes = archive(&[("debian-binary", b"2.0\n"), ("control.tar", b"cc"), ("data.tar.zst", b"ddd")]);
            bytes.extend(tail);
            if let Some(b) = bytes.get_mut(flip) { *b = with; }
            if let Ok(deb) = Deb::open(&bytes) {
                let _ = deb.control().map(|mut r| io::copy(&mut r, &mut io::sink()));
                let _ = deb.data().map(|mut r| io::copy(&mut r, &mut io::sink()));
            }
        }
    }
}
