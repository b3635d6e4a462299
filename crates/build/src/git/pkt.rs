//! Lines of Git's protocol: four hexadecimal digits of length, then the content (gitprotocol-common(5)).

use std::io::Read;

use super::{Trouble, words};

/// Longest content of a line.
const MAX_DATA: usize = 65_516;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pkt {
    /// Content.
    Data(Vec<u8>),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: between parts of a message.
    Delimiter,
}

/// Appends a line with content.
pub(super) fn put(out: &mut Vec<u8>, content: &str) {
    out.extend_from_slice(format!("{:04x}", content.len() + 4).as_bytes());
    out.extend_from_slice(content.as_bytes());
}

/// Reads a line. A line that tells an error becomes one.
pub(super) fn read(input: &mut dyn Read) -> Result<Pkt, Trouble> {
    let mut head = [0u8; 4];
    input.read_exact(&mut head).map_err(|_| words("the server ended the connection"))?;
    let text = std::str::from_utf8(&head).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
    let length = text.and_then(|t| usize::from_str_radix(t, 16).ok());
    match length.ok_or_else(|| words("the server does not speak Git's protocol"))? {
        0 => Ok(Pkt::Flush),
        1 => Ok(Pkt::Delimiter),
        // "Response end", which only helpers of other protocols send.
        2 => Ok(Pkt::Flush),
        length => {
            let size = length.checked_sub(4).filter(|s| *s <= MAX_DATA);
            let mut data = vec![0; size.ok_or_else(|| words("a line of the server has an impossible length"))?];
            input.read_exact(&mut data).map_err(|_| words("the server ended the connection"))?;
            match data.strip_prefix(b"ERR ") {
                Some(error) => Err(words(format!("the server says: {}", printable(error)))),
                None => Ok(Pkt::Data(data)),
            }
        }
    }
}

/// What a server wrote, for a message.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

/// The pack of a fetch, out of the lines that it comes in: band 1 is the pack, 2 progress, 3 an error.
pub(super) struct Sideband<'r> {
    input: &'r mut dyn Read,
    current: Vec<u8>,
    at: usize,
    done: bool,
    /// The error that ended it, for the caller: `Read` has no room for it.
    pub(super) trouble: Option<Trouble>,
}

impl<'r> Sideband<'r> {
    pub(super) fn new(input: &'r mut dyn Read) -> Sideband<'r> {
        Sideband { input, current: Vec::new(), at: 0, done: false, trouble: None }
    }

    fn next(&mut self) -> Result<bool, Trouble> {
        loop {
            let Pkt::Data(data) = read(self.input)? else { return Ok(false) };
            match data.split_first() {
                Some((1, _)) => {
                    (self.current, self.at) = (data, 1);
                    return Ok(true);
                }
                Some((2, _)) => {}
                Some((3, error)) => return Err(words(format!("the server says: {}", printable(error)))),
                _ => return Err(words("a line of the pack has no band")),
            }
        }
    }
}

impl Read for Sideband<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.at >= self.current.len() && !self.done {
            match self.next() {
                Ok(more) => self.done = !more,
                Err(trouble) => {
                    self.done = true;
                    self.trouble = Some(trouble);
                    return Err(std::io::Error::other("the pack cannot be read"));
                }
            }
        }
        let rest = self.current.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_nonsense_is_refused() {
        let mut bytes = Vec::new();
        put(&mut bytes, "hello\n");
        bytes.extend_from_slice(b"00010000");
        let mut input = bytes.as_slice();
        assert_eq!(read(&mut input).unwrap(), Pkt::Data(b"hello\n".to_vec()));
        assert_eq!(read(&mut input).unwrap(), Pkt::Delimiter);
        assert_eq!(read(&mut input).unwrap(), Pkt::Flush);
        for bad in ["", "zzzz", "0003", "ffff", "0008ab", "<html>", "000fERR no one"] {
            assert!(read(&mut bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_pack_comes_out_of_its_band() {
        let bytes = b"0007\x01ab0007\x02..0006\x01c0000";
        let mut input = bytes.as_slice();
        let mut out = Vec::new();
        Sideband::new(&mut input).read_to_end(&mut out).unwrap();
        assert_eq!(out, b"abc");
        let mut input = b"0009\x03boom0000".as_slice();
        let mut band = Sideband::new(&mut input);
        assert!(band.read_to_end(&mut out).is_err());
        assert!(matches!(band.trouble, Some(Trouble::Words(w)) if w.contains("boom")));
    }
}
