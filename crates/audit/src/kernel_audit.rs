//! The audit rules that the kernel has loaded, asked by netlink: what `auditctl -l` shows, without starting a program.
//!
//! Source: `linux/audit.h` (`struct audit_rule_data`, `AUDIT_LIST_RULES`), netlink(7), auditctl(8).

use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt,
};

const AUDIT_LIST_RULES: u16 = 1013;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_ACK`
const REQUEST_ACK: u16 = 1 | 4;
/// Bytes before the strings of a rule: three words, the mask of system calls, three arrays of 64 words, a length.
const RULE_HEAD_BYTES: usize = 12 + 64 * 4 + 3 * 64 * 4 + 4;
const AUDIT_WATCH: u32 = 105;
const AUDIT_DIR: u32 = 107;
/// Most rules that are read: `auditctl` users have dozens.
const MAX_RULES: usize = 100_000;

/// A path that a loaded rule watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// As it was given.
    pub path: String,
    /// Whether everything below it is watched too.
    pub recursive: bool,
}

/// The watched paths of all loaded rules. The error says why the kernel does not tell: no right, no audit in the kernel,
/// not in the first process namespace.
pub fn watches() -> Result<Vec<Watch>, String> {
    ask().map_err(|e| format!("the kernel does not list its audit rules: {e}"))
}

fn ask() -> Result<Vec<Watch>, Errno> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::AUDIT))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_secs(2)))?;
    let mut request = Vec::with_capacity(16);
    request.extend(16u32.to_ne_bytes());
    request.extend(AUDIT_LIST_RULES.to_ne_bytes());
    request.extend(REQUEST_ACK.to_ne_bytes());
    request.extend(1u32.to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    send(&socket, &request, SendFlags::empty())?;
    let mut buffer = vec![0u8; 64 << 10];
    let mut found = Vec::new();
    for _ in 0..MAX_RULES {
        let count = match recv(&socket, &mut buffer, RecvFlags::empty()) {
            Ok((count, _)) => count,
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e),
        };
        let mut rest = buffer.get(..count).unwrap_or_default();
        while let Some((kind, body, after)) = message(rest) {
            rest = after;
            match kind {
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => match word(body, 0) {
                    Some(0) | None => {}
                    Some(negative) => return Err(Errno::from_raw_os_error((negative as i32).wrapping_neg())),
                },
                AUDIT_LIST_RULES => found.extend(rule(body)),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// The first message of a datagram: its type, its body, and what follows. Messages are padded to 4 bytes, but audit's own
/// length field leaves the header out in old kernels, so a message never reaches past the datagram.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = word(bytes, 0)? as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let end = length.clamp(16, bytes.len().max(16));
    let body = bytes.get(16..end.min(bytes.len()))?;
    Some((kind, body, bytes.get(end.next_multiple_of(4)..).unwrap_or_default()))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Watches of one `struct audit_rule_data`. A field that holds a string has the string's length as its value; the
/// strings follow the structure in the order of the fields.
fn rule(body: &[u8]) -> Vec<Watch> {
    let mut found = Vec::new();
    let fields = word(body, 8).unwrap_or(0).min(64) as usize;
    let mut strings = body.get(RULE_HEAD_BYTES..).unwrap_or_default();
    for i in 0..fields {
        let (Some(field), Some(value)) = (word(body, 268 + i * 4), word(body, 524 + i * 4)) else { break };
        if !is_string(field) {
            continue;
        }
        let Some((text, rest)) = strings.split_at_checked(value as usize) else { break };
        strings = rest;
        if field == AUDIT_WATCH || field == AUDIT_DIR {
            let path = String::from_utf8_lossy(text).into_owned();
            found.push(Watch { path, recursive: field == AUDIT_DIR });
        }
    }
    found
}

/// Labels of subjects (13–17) and objects (19–23), watch, directory, program and key are strings.
fn is_string(field: u32) -> bool {
    matches!(field, 13..=17 | 19..=23 | AUDIT_WATCH | AUDIT_DIR | 112 | 210)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(fields: &[(u32, u32)], strings: &str) -> Vec<u8> {
        let mut body = vec![0u8; RULE_HEAD_BYTES];
        body[8..12].copy_from_slice(&(fields.len() as u32).to_ne_bytes());
        for (i, (field, value)) in fields.iter().enumerate() {
            body[268 + i * 4..272 + i * 4].copy_from_slice(&field.to_ne_bytes());
            body[524 + i * 4..528 + i * 4].copy_from_slice(&value.to_ne_bytes());
        }
        body.extend(strings.bytes());
        body
    }

    #[test]
    fn watches_are_found_among_other_fields() {
        let body = made(&[(AUDIT_DIR, 11), (106, 15), (210, 6)], "/etc/dockerdocker");
        assert_eq!(rule(&body), [Watch { path: "/etc/docker".to_owned(), recursive: true }]);
        let body = made(&[(210, 1), (AUDIT_WATCH, 4)], "k/bin");
        assert_eq!(rule(&body), [Watch { path: "/bin".to_owned(), recursive: false }]);
    }

    #[test]
    fn lies_about_lengths_are_harmless() {
        assert_eq!(rule(&made(&[(AUDIT_DIR, u32::MAX)], "/x")), []);
        assert_eq!(rule(&[0xff; 40]), []);
        assert!(message(&[0xff; 15]).is_none());
        assert!(message(&[0xff; 20]).is_some());
    }

    #[test]
    fn the_kernel_answers_or_says_why() {
        if let Err(why) = watches() {
            eprintln!("skipped: {why}");
        }
    }
}
