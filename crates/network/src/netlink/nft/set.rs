//! Sets and maps.

use crate::netlink::message::Writer;

pub(super) const NFTA_SET_TABLE: u16 = 1;
pub(super) const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const FLAG_MAP: u32 = 8;

const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;

/// The type of a field of a key. The kernel only needs its length; `nft list` shows values by the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataType {
    Ipv4 = 7,
    Ether = 9,
    Protocol = 12,
    Port = 13,
    Interface = 41,
}

impl DataType {
    /// Bytes that a value takes in registers: whole 32-bit words.
    fn padded(self) -> u32 {
        match self {
            DataType::Ipv4 | DataType::Protocol | DataType::Port => 4,
            DataType::Ether => 8,
            DataType::Interface => 16,
        }
    }
}

/// A named set; with `data` it is a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [DataType],
    pub(crate) data: &'static [DataType],
}

impl Set {
    pub(super) fn write(&self, w: &mut Writer<'_>, table: &str, id: u32) {
        w.text(NFTA_SET_TABLE, table);
        w.text(NFTA_SET_NAME, self.name);
        w.be32(NFTA_SET_ID, id);
        w.be32(NFTA_SET_FLAGS, if self.data.is_empty() { 0 } else { FLAG_MAP });
        let (kind, length) = concatenated(self.key);
        w.be32(NFTA_SET_KEY_TYPE, kind);
        w.be32(NFTA_SET_KEY_LEN, length);
        if !self.data.is_empty() {
            let (kind, length) = concatenated(self.data);
            w.be32(NFTA_SET_DATA_TYPE, kind);
            w.be32(NFTA_SET_DATA_LEN, length);
        }
    }
}

/// Type number (six bits a field, first field highest) and length in bytes. A lone field keeps its natural length.
fn concatenated(fields: &[DataType]) -> (u32, u32) {
    match fields {
        [DataType::Protocol] => (DataType::Protocol as u32, 1),
        [DataType::Port] => (DataType::Port as u32, 2),
        [DataType::Ether] => (DataType::Ether as u32, 6),
        _ => fields.iter().fold((0, 0), |(kind, length), f| (kind << 6 | *f as u32, length + f.padded())),
    }
}

/// An element: its key, and in a map its value, field after field, each padded to 32-bit words.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    pub(crate) key: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl Element {
    /// An element of a set whose key has these fields.
    pub(crate) fn key(fields: &[&[u8]]) -> Element {
        Element { key: padded(fields), data: Vec::new() }
    }

    /// The same element with a value.
    pub(crate) fn to(self, fields: &[&[u8]]) -> Element {
        Element { data: padded(fields), ..self }
    }
}

fn padded(fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    for field in fields {
        bytes.extend_from_slice(field);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// An interface name as a key field: 16 bytes, zero-padded.
pub(crate) fn interface_field(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    // A name has at most 15 bytes (IFNAMSIZ); the last stays zero.
    for (to, from) in field.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    field
}

pub(super) fn write_elements(w: &mut Writer<'_>, table: &str, set: &str, elements: &[Element], with_data: bool) {
    w.text(NFTA_SET_ELEM_LIST_TABLE, table);
    w.text(NFTA_SET_ELEM_LIST_SET, set);
    w.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |w| {
        for element in elements {
            w.nest(NFTA_LIST_ELEM, |w| {
                w.nest(NFTA_SET_ELEM_KEY, |w| w.bytes(NFTA_DATA_VALUE, &element.key));
                if with_data && !element.data.is_empty() {
                    w.nest(NFTA_SET_ELEM_DATA, |w| w.bytes(NFTA_DATA_VALUE, &element.data));
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_padded_to_words_and_types_are_packed() {
        let element = Element::key(&[&[6], &[10, 0, 0, 1], &80u16.to_be_bytes()]);
        assert_eq!(element.key, [6, 0, 0, 0, 10, 0, 0, 1, 0, 80, 0, 0]);
        assert_eq!(concatenated(&[DataType::Protocol, DataType::Port]), (12 << 6 | 13, 8));
        assert_eq!(concatenated(&[DataType::Interface, DataType::Ether, DataType::Ipv4]).1, 28);
        assert_eq!(interface_field("eth0")[..5], *b"eth0\0");
    }
}
