//! The 512-byte header block.

use super::writer::BLOCK;

/// A header block and the fields in it.
pub(super) struct Header(pub [u8; BLOCK]);

/// Which dialect a header is in; they differ in what follows byte 345.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Before POSIX: no magic.
    V7,
    /// POSIX: 155 bytes of path prefix.
    Ustar,
    /// Schilling's: 131 bytes of path prefix.
    Star,
    /// GNU: no prefix.
    Gnu,
}

impl Header {
    /// `len` bytes at `at`. All callers pass constants within the block.
    fn field(&self, at: usize, len: usize) -> &[u8] {
        self.0.get(at..at + len).unwrap_or_default()
    }

    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|b| *b == 0)
    }

    /// Whether the checksum field agrees with the block, summed as unsigned or (old Sun tars) signed bytes.
    pub fn checksum_is_right(&self) -> bool {
        let Some(claimed) = number(self.field(148, 8)) else { return false };
        let (mut unsigned, mut signed) = (0i64, 0i64);
        for (i, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&i) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        claimed == unsigned || claimed == signed
    }

    pub fn dialect(&self) -> Dialect {
        match (self.field(257, 6), self.field(263, 2)) {
            (b"ustar\0", _) if self.field(508, 4) == b"tar\0" => Dialect::Star,
            (b"ustar\0", _) => Dialect::Ustar,
            (b"ustar ", b" \0") => Dialect::Gnu,
            _ => Dialect::V7,
        }
    }

    /// The name with its prefix, as written.
    pub fn path(&self) -> Vec<u8> {
        let prefix = match self.dialect() {
            Dialect::Ustar => text(self.field(345, 155)),
            Dialect::Star => text(self.field(345, 131)),
            Dialect::V7 | Dialect::Gnu => b"",
        };
        let name = text(self.field(0, 100));
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub fn link(&self) -> &[u8] {
        text(self.field(157, 100))
    }

    pub fn type_flag(&self) -> u8 {
        self.0[156]
    }

    pub fn mode(&self) -> Option<i64> {
        number(self.field(100, 8))
    }

    pub fn uid(&self) -> Option<i64> {
        number(self.field(108, 8))
    }

    pub fn gid(&self) -> Option<i64> {
        number(self.field(116, 8))
    }

    pub fn size(&self) -> Option<i64> {
        number(self.field(124, 12))
    }

    pub fn mtime(&self) -> Option<i64> {
        number(self.field(136, 12))
    }

    /// Major and minor; headers without the fields give 0.
    pub fn device(&self) -> Option<(i64, i64)> {
        if self.dialect() == Dialect::V7 {
            return Some((0, 0));
        }
        Some((number(self.field(329, 8))?, number(self.field(337, 8))?))
    }

    /// GNU's old sparse map: up to four segments, whether extension blocks follow, the real size.
    pub fn gnu_sparse(&self) -> (&[u8], bool, Option<i64>) {
        (self.field(386, 96), self.0[482] != 0, number(self.field(483, 12)))
    }
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// A number in octal digits (padded by spaces or NULs), or in base 256 when the first bit is set.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        return base_256(field);
    }
    let digits: &[u8] = field.trim_ascii_start();
    let end = digits.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if rest.iter().any(|b| !matches!(b, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0i64, |sum, b| match b {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(b - b'0')),
        _ => None,
    })
}

/// Two's complement, big-endian, without the marker bit.
fn base_256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let negative = first & 0x40 != 0;
    let mut value: i128 = i128::from(first & 0x7f);
    if negative {
        value -= 0x80;
    }
    for byte in rest {
        value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
    }
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_forms() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"        "), Some(0));
        assert_eq!(number(b"77777777777\0"), Some(0o77_777_777_777));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"-1\0\0\0\0\0\0"), None);
        assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None, "does not fit");
    }
}
