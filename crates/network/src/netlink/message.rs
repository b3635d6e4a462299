//! Netlink messages as bytes: header, attributes, nesting (netlink(7), `linux/netlink.h`).

use std::sync::atomic::{AtomicU32, Ordering};

/// Length of `struct nlmsghdr` in bytes.
const HEADER: usize = 16;
/// Type bit of an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are not flags.
const TYPE_MASK: u16 = 0x3fff;

/// `NLM_F_REQUEST`: set on everything sent to the kernel.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`: answer even if all is well.
pub(crate) const ACK: u16 = 4;
/// `NLM_F_REPLACE`: overwrite what is there.
pub(crate) const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`: fail if it exists.
pub(crate) const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`: make it if it does not exist.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: put it at the end.
pub(crate) const APPEND: u16 = 0x800;
/// `NLM_F_ROOT | NLM_F_MATCH`: all of them.
pub(crate) const DUMP: u16 = 0x300;

/// Message type of an error or acknowledgement.
pub(crate) const TYPE_ERROR: u16 = 2;
/// Message type of the end of a dump.
pub(crate) const TYPE_DONE: u16 = 3;

/// Sequence numbers are unique in the process, so an answer never fits the wrong question.
static SEQUENCE: AtomicU32 = AtomicU32::new(1);

/// Requests that are sent in one go, each with words for an error message.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    requests: Vec<(u32, String)>,
    last_start: usize,
}

impl Batch {
    /// Asks for an answer to the request added last.
    pub(crate) fn acknowledge_last(&mut self) {
        if let Some(flags) = self.bytes.get_mut(self.last_start + 6..self.last_start + 8) {
            flags[0] |= ACK.to_ne_bytes()[0];
            flags[1] |= ACK.to_ne_bytes()[1];
        }
    }

    /// Adds a message that the kernel does not answer.
    pub(crate) fn trailer(&mut self, kind: u16, body: impl FnOnce(&mut Writer<'_>)) {
        self.append(kind, 0, 0, body);
    }

    /// Adds a request of type `kind`. `what` completes "cannot …" should it fail.
    pub(crate) fn request(
        &mut self,
        what: impl Into<String>,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer<'_>),
    ) {
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        self.last_start = self.bytes.len();
        self.append(kind, flags, sequence, body);
        self.requests.push((sequence, what.into()));
    }

    fn append(&mut self, kind: u16, flags: u16, sequence: u32, body: impl FnOnce(&mut Writer<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        body(&mut Writer { bytes: &mut self.bytes });
        let length = (self.bytes.len() - start) as u32;
        if let Some(field) = self.bytes.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// All requests, encoded.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sequence number and words of each request, in order.
    pub(crate) fn requests(&self) -> &[(u32, String)] {
        &self.requests
    }
}

/// Writes the inside of a message or of a nested attribute.
pub(crate) struct Writer<'b> {
    bytes: &'b mut Vec<u8>,
}

impl Writer<'_> {
    /// Appends a fixed header (`struct ifinfomsg`, `struct nfgenmsg`, …) and pads it to 4 bytes.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// An attribute with these bytes. Values of 64 KiB do not fit an attribute; none here comes near.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = (4 + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// A byte.
    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// A 32-bit number in the machine's byte order (rtnetlink).
    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A 32-bit number in network byte order (nf_tables).
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A string with its final zero.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// An attribute that holds what `inside` writes.
    pub(crate) fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Writer<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        inside(&mut Writer { bytes: self.bytes });
        let length = (self.bytes.len() - start) as u16;
        if let Some(field) = self.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'b> {
    /// Message type.
    pub(crate) kind: u16,
    /// The request's sequence number.
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) body: &'b [u8],
}

impl<'b> Message<'b> {
    /// For an error message: the error number, 0 for an acknowledgement.
    pub(crate) fn error_number(&self) -> Option<i32> {
        (self.kind == TYPE_ERROR).then(|| self.body.first_chunk().map(|b| i32::from_ne_bytes(*b).wrapping_neg()))?
    }

    /// The attributes after a fixed header of `skip` bytes.
    pub(crate) fn attributes(&self, skip: usize) -> Attributes<'b> {
        Attributes { rest: self.body.get(skip..).unwrap_or_default() }
    }
}

/// Splits a datagram into messages; stops where the bytes stop making sense. A cut last message counts with
/// what there is of it: acknowledgements echo the request behind what matters.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let sequence = u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?);
        if length < HEADER {
            return None;
        }
        let body = bytes.get(HEADER..length.min(bytes.len()))?;
        bytes = bytes.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some(Message { kind, sequence, body })
    })
}

/// Attributes in the order they stand: type without flags, value.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'b> {
    rest: &'b [u8],
}

impl<'b> Attributes<'b> {
    /// Reads attributes from a nested value.
    pub(crate) fn of(bytes: &'b [u8]) -> Attributes<'b> {
        Attributes { rest: bytes }
    }

    /// The value of the first attribute of type `kind`.
    pub(crate) fn find(&self, kind: u16) -> Option<&'b [u8]> {
        self.clone().find_map(|(k, value)| (k == kind).then_some(value))
    }
}

impl<'b> Iterator for Attributes<'b> {
    type Item = (u16, &'b [u8]);

    fn next(&mut self) -> Option<(u16, &'b [u8])> {
        let length = usize::from(u16::from_ne_bytes(*self.rest.first_chunk()?));
        let kind = u16::from_ne_bytes(self.rest.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = self.rest.get(4..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A string attribute without its final zero.
pub(crate) fn text_of(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// A 32-bit number in the machine's byte order.
pub(crate) fn u32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut batch = Batch::default();
        batch.request("a", 16, ACK, |w| {
            w.raw(&[7; 6]);
            w.u8(1, 9);
            w.nest(2, |w| {
                w.text(3, "eth0");
                w.be32(4, 1);
            });
        });
        batch.request("b", 17, 0, |w| w.u32(5, 77));
        let all: Vec<_> = messages(batch.bytes()).collect();
        assert_eq!(all.iter().map(|m| m.kind).collect::<Vec<_>>(), [16, 17]);
        assert_eq!(all[0].sequence, batch.requests()[0].0);
        let inside = all[0].attributes(8).find(2).unwrap();
        assert_eq!(text_of(Attributes::of(inside).find(3).unwrap()), "eth0");
        assert_eq!(Attributes::of(inside).find(4).unwrap(), [0, 0, 0, 1]);
        assert_eq!(u32_of(all[1].attributes(0).find(5).unwrap()), Some(77));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_split_without_panic(bytes: Vec<u8>) {
            for message in messages(&bytes) {
                let _ = message.error_number();
                for (_, value) in message.attributes(4) {
                    let _ = Attributes::of(value).count();
                }
            }
        }
    }
}
