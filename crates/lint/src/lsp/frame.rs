//! `Content-Length: N\r\n\r\n` and N bytes (LSP 3.17, "Base Protocol").

use std::io::{self, BufRead, Read as _, Write};

use serde_json::Value;

/// Longest message that is read, in bytes.
pub const MAX_FRAME: u64 = 128 << 20;
/// Longest header, in bytes.
const MAX_HEADER: u64 = 8 << 10;

/// Why a stream cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum FrameError {
    #[error("the header of a message has no `Content-Length: N`")]
    NoLength,
    #[error("a message of {0} bytes: at most {MAX_FRAME} are read")]
    TooLong(u64),
    #[error("the header of a message is longer than {MAX_HEADER} bytes")]
    LongHeader,
    #[error("the stream ended inside a message")]
    Cut,
    #[error("cannot read or write a message")]
    Io(#[from] io::Error),
}

/// The next message's bytes; `None` at the end of the stream.
///
/// # Errors
/// See [`FrameError`].
pub fn read(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = None;
    let mut left = MAX_HEADER;
    let mut first = true;
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(left).read_until(b'\n', &mut line)?;
        left -= read as u64;
        if line.last() != Some(&b'\n') {
            return match (left, first && line.is_empty()) {
                (_, true) if read == 0 => Ok(None),
                (0, _) => Err(FrameError::LongHeader),
                _ => Err(FrameError::Cut),
            };
        }
        first = false;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<u64>().map_err(|_| FrameError::NoLength)?);
        }
    }
    let length = length.ok_or(FrameError::NoLength)?;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    // Memory grows with what comes, not with what was announced.
    let mut bytes = Vec::new();
    input.by_ref().take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(Some(bytes)) } else { Err(FrameError::Cut) }
}

/// Writes a message.
///
/// # Errors
/// The stream's.
pub fn write(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let text = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_one_after_another() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Value::from("é")).unwrap();
        bytes.extend(b"content-length:2\r\nContent-Type: x\r\n\r\n[]");
        let mut input = bytes.as_slice();
        assert_eq!(read(&mut input).unwrap().unwrap(), "\"é\"".as_bytes());
        assert_eq!(read(&mut input).unwrap().unwrap(), b"[]");
        assert!(read(&mut input).unwrap().is_none());
    }

    #[test]
    fn what_is_no_frame_is_an_error_and_takes_no_memory() {
        let long = [b'x'; 9000];
        for bytes in [
            &b"hello\r\n\r\n"[..],
            b"\r\n",
            b"Content-Length: 99999999999999\r\n\r\n",
            b"Content-Length: -1\r\n\r\n",
            b"Content-Length: 99999999999999999999999\r\n\r\n",
            b"Content-Length: 1000\r\n\r\nabc",
            b"Content-Le",
            &long,
        ] {
            assert!(read(&mut &bytes[..]).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
