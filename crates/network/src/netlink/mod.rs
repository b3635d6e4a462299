//! The kernel's netlink protocols, as far as this room needs them: an encoder, a blocking socket, the
//! requests of rtnetlink (links, addresses, routes), of nf_tables and of conntrack.

pub(crate) mod conntrack;
pub(crate) mod message;
pub(crate) mod nft;
pub(crate) mod route;
pub(crate) mod socket;
