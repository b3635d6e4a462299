//! PAX extended headers (POSIX.1-2017, `pax`, "pax Extended Header").

use crate::error::{ImageError, Result, shown};

/// Largest value of one extended attribute, in bytes: the kernel's `XATTR_SIZE_MAX`.
const MAX_XATTR_BYTES: usize = 65_536;
/// Prefix of the keys that hold extended attributes (star's, used by GNU tar, Go and libarchive).
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What an extended header says. A field that it does not mention is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: SparseKeys,
    /// GNU's long names (entries of type `L` and `K`), which say the same and win.
    pub gnu_path: Option<Vec<u8>>,
    pub gnu_link: Option<Vec<u8>>,
}

/// The `GNU.sparse.*` keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SparseKeys {
    pub version: Option<(u64, u64)>,
    pub real_size: Option<u64>,
    pub name: Option<Vec<u8>>,
    /// Of format 0.0 and 0.1: numbers in turn offset, length.
    pub map: Vec<u64>,
}

impl Extended {
    /// Adds the records of one header; later ones win.
    pub fn add(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or_else(|| bad("a record does not follow `LENGTH KEY=VALUE`"))?;
            self.set(key, value)?;
            bytes = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
            return self.set_xattr(name, value);
        }
        match key {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.link = text(value)?,
            b"size" => self.size = optional(value, unsigned)?,
            b"uid" => self.uid = optional(value, id)?,
            b"gid" => self.gid = optional(value, id)?,
            b"mtime" => self.mtime = optional(value, time)?,
            b"GNU.sparse.major" => {
                self.sparse.version = Some((unsigned(value)?, self.sparse.version.map_or(0, |v| v.1)))
            }
            b"GNU.sparse.minor" => {
                self.sparse.version = Some((self.sparse.version.map_or(0, |v| v.0), unsigned(value)?))
            }
            b"GNU.sparse.name" => self.sparse.name = text(value)?,
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse.real_size = Some(unsigned(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let expects_offset = self.sparse.map.len().is_multiple_of(2);
                if expects_offset != (key == b"GNU.sparse.offset") {
                    return Err(bad("its sparse map is out of order"));
                }
                self.sparse.map.push(unsigned(value)?);
            }
            b"GNU.sparse.map" => {
                self.sparse.map = value.split(|b| *b == b',').map(unsigned).collect::<Result<_>>()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        if name.is_empty() || name.contains(&0) || name.len() > 255 {
            return Err(bad("the name of an extended attribute is empty, too long or holds NUL"));
        }
        if value.len() > MAX_XATTR_BYTES {
            return Err(ImageError::OverLimit {
                what: format!("extended attribute `{}`", shown(name)),
                limit: MAX_XATTR_BYTES as u64,
                unit: "bytes",
            });
        }
        self.xattrs.retain(|(n, _)| n != name);
        self.xattrs.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

fn bad(reason: &str) -> ImageError {
    ImageError::malformed("an extended tar header", reason)
}

/// The first record: key, value, what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length = usize::try_from(unsigned(bytes.get(..space)?).ok()?).ok()?;
    if length < space + 1 || length > bytes.len() {
        return None;
    }
    let (whole, rest) = bytes.split_at(length);
    let body = whole.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    let (key, value) = body.split_at(equals);
    if key.is_empty() { None } else { Some((key, value.get(1..)?, rest)) }
}

/// An empty value withdraws the field.
fn optional<T>(value: &[u8], parse: impl Fn(&[u8]) -> Result<T>) -> Result<Option<T>> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}

fn text(value: &[u8]) -> Result<Option<Vec<u8>>> {
    if value.contains(&0) {
        return Err(bad("a path holds NUL"));
    }
    Ok(if value.is_empty() { None } else { Some(value.to_vec()) })
}

/// Decimal digits.
pub(super) fn unsigned(value: &[u8]) -> Result<u64> {
    let wrong = || bad(&format!("`{}` is not a number", shown(value)));
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).ok_or_else(wrong)
}

fn id(value: &[u8]) -> Result<u32> {
    u32::try_from(unsigned(value)?).map_err(|_| bad(&format!("the owner `{}` is above 2^32-1", shown(value))))
}

/// `[-]SECONDS[.FRACTION]`.
fn time(value: &[u8]) -> Result<(i64, u32)> {
    let wrong = || bad(&format!("`{}` is not a time", shown(value)));
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = digits.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(unsigned(parts.next().unwrap_or_default())?).map_err(|_| wrong())?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let nanos = (0..9).fold(0u32, |sum, i| sum * 10 + u32::from(fraction.get(i).map_or(0, |b| b - b'0')));
    Ok(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// Appends one record to `out`; its length counts its own digits.
pub(super) fn push_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() + rest != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The key of an extended attribute.
pub(super) fn xattr_key(name: &[u8]) -> Vec<u8> {
    [XATTR_PREFIX, name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_at_every_length() {
        for n in 0..1200 {
            let value = vec![b'v'; n];
            let mut out = Vec::new();
            push_record(&mut out, b"path", &value);
            let (key, parsed, rest) = record(&out).unwrap();
            assert_eq!((key, parsed, rest.len()), (&b"path"[..], value.as_slice(), 0), "{n}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"12.5").unwrap(), (12, 500_000_000));
        assert_eq!(time(b"12").unwrap(), (12, 0));
        assert_eq!(time(b"-1.25").unwrap(), (-2, 750_000_000));
        assert_eq!(time(b"1.1234567899").unwrap(), (1, 123_456_789));
        assert!(time(b"1.x").is_err() && time(b"").is_err() && time(b"99999999999999999999").is_err());
    }

    #[test]
    fn binary_xattrs_come_through_and_hostile_records_fail() {
        let mut bytes = Vec::new();
        push_record(&mut bytes, b"SCHILY.xattr.security.capability", b"\x01\0\0\x02\n=\xff");
        let mut extended = Extended::default();
        extended.add(&bytes).unwrap();
        assert_eq!(extended.xattrs, [(b"security.capability".to_vec(), b"\x01\0\0\x02\n=\xff".to_vec())]);
        for hostile in
            [&b"5"[..], b"0 a=b\n", b"3 \n", b"99 a=b\n", b"6 =bc\n", b"18446744073709551616 a=b\n", b"-1 a=b\n"]
        {
            assert!(Extended::default().add(hostile).is_err(), "{}", shown(hostile));
        }
    }
}
