//! Bridge, veth, NAT and port publishing by netlink.
#![forbid(unsafe_code)]
