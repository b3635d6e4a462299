//! Forgetting the connections of a container (`linux/netfilter/nfnetlink_conntrack.h`).
//!
//! The kernel remembers each connection, with its translation, for as long as five days. Once a container is
//! gone that memory would lead packets to whoever has its address next, and keep a UDP client away from a
//! container that takes over the published port.

use std::net::Ipv4Addr;

use super::message::{ACK, Attributes, Batch, DUMP};
use super::socket::Socket;
use crate::error::NetworkError;

/// Subsystem `NFNL_SUBSYS_CTNETLINK`, in the high byte of a message type.
const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const FILTER_IP_SRC: u32 = 1;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;

/// `struct nfgenmsg`: family AF_INET, version 0, no resource.
const HEADER: [u8; 4] = [2, 0, 0, 0];

/// Forgets every connection of `ip`: those that others opened to it, by a published port or not, and those
/// that it opened.
pub(crate) fn forget(socket: &Socket, ip: Ipv4Addr) -> Result<(), NetworkError> {
    for side in [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY] {
        forget_side(socket, side, ip)?;
    }
    Ok(())
}

/// Forgets UDP conversations with `port`, whoever has them: their packets would go on as before the port was
/// published.
pub(crate) fn forget_udp_port(socket: &Socket, port: u16) -> Result<(), NetworkError> {
    let matches = |tuple: &[u8]| {
        let proto = Attributes::of(tuple).find(CTA_TUPLE_PROTO).map(Attributes::of);
        proto.is_some_and(|p| {
            p.find(CTA_PROTO_NUM) == Some(&[17]) && p.find(CTA_PROTO_DST_PORT) == Some(&port.to_be_bytes())
        })
    };
    let all = |_: &mut super::message::Writer<'_>| {};
    delete(socket, &matching(socket, CTA_TUPLE_ORIG, all, matches)?)
}

fn source_of(tuple: &[u8]) -> Option<Ipv4Addr> {
    let ip = Attributes::of(Attributes::of(tuple).find(CTA_TUPLE_IP)?).find(CTA_IP_V4_SRC)?;
    ip.first_chunk::<4>().map(|b| Ipv4Addr::from(*b))
}

fn forget_side(socket: &Socket, side: u16, ip: Ipv4Addr) -> Result<(), NetworkError> {
    let matches = |tuple: &[u8]| source_of(tuple) == Some(ip);
    // Kernels from 5.8 on filter before they answer; older ones ignore the filter, so `matches` decides.
    let filter = |w: &mut super::message::Writer<'_>| {
        w.nest(side, |w| w.nest(CTA_TUPLE_IP, |w| w.bytes(CTA_IP_V4_SRC, &ip.octets())));
        w.nest(CTA_FILTER, |w| {
            w.u32(CTA_FILTER_ORIG_FLAGS, if side == CTA_TUPLE_ORIG { FILTER_IP_SRC } else { 0 });
            w.u32(CTA_FILTER_REPLY_FLAGS, if side == CTA_TUPLE_REPLY { FILTER_IP_SRC } else { 0 });
        });
    };
    delete(socket, &matching(socket, side, filter, matches)?)
}

/// What identifies a connection for deletion: its original tuple, id and zone, as the kernel wrote them.
type Identity = Vec<(u16, Vec<u8>)>;

fn matching(
    socket: &Socket,
    side: u16,
    filter: impl Fn(&mut super::message::Writer<'_>),
    matches: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Identity>, NetworkError> {
    let mut found = Vec::new();
    let body = |w: &mut super::message::Writer<'_>| {
        w.raw(&HEADER);
        filter(w);
    };
    socket.query("list tracked connections", GET, DUMP, body, |message| {
        let attributes = message.attributes(HEADER.len());
        if attributes.find(side).is_some_and(&matches) {
            let kept = attributes.filter(|(kind, _)| matches!(*kind, CTA_TUPLE_ORIG | CTA_ID | CTA_ZONE));
            found.push(kept.map(|(kind, value)| (kind, value.to_vec())).collect());
        }
    })?;
    Ok(found)
}

fn delete(socket: &Socket, connections: &[Identity]) -> Result<(), NetworkError> {
    for connection in connections {
        let mut batch = Batch::default();
        batch.request("forget a tracked connection", DELETE, ACK, |w| {
            w.raw(&HEADER);
            for (kind, value) in connection {
                // The tuple is an attribute of attributes; the flag is asked for by strict kernels.
                match *kind {
                    CTA_TUPLE_ORIG => w.bytes(kind | 0x8000, value),
                    _ => w.bytes(*kind, value),
                }
            }
        });
        match socket.execute(&batch) {
            // It ended by itself in the meantime.
            Err(e) if e.is_errno(rustix::io::Errno::NOENT) => {}
            other => other?,
        }
    }
    Ok(())
}
