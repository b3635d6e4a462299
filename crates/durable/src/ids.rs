//! What the user namespace that we are in lets files be: whose, and with which attributes (user_namespaces(7)).

use std::sync::OnceLock;

use rustix::io::Errno;

/// First ids and counts of a map file's lines.
fn map() -> &'static [(u64, u64)] {
    static MAP: OnceLock<Vec<(u64, u64)>> = OnceLock::new();
    MAP.get_or_init(|| parse(&std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default()))
}

fn parse(text: &str) -> Vec<(u64, u64)> {
    let line = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Whether this process can write `trusted.` attributes: root, and not only of a user namespace. Looked up once.
pub fn trusted_attributes() -> bool {
    rustix::process::geteuid().is_root() && (map().is_empty() || map() == [(0, 0xffff_ffff)])
}

/// Whether there is only one user id: a user namespace that was made without newuidmap(1).
pub fn single_id() -> bool {
    !map().is_empty() && map().iter().map(|(_, count)| count).sum::<u64>() <= 1
}

/// The result of a change of owner. To an id that does not exist here it cannot be done, which the kernel says as
/// `EINVAL` and nothing else as that; the file then stays its maker's.
pub fn owned(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// As [`owned`], for functions of the standard library.
pub fn owned_io(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read() {
        assert_eq!(parse("         0          0 4294967295\n"), [(0, 0xffff_ffff)]);
        assert_eq!(parse("0 1000 1\n1 100000 65536\nbad"), [(1000, 1), (100_000, 65_536)]);
    }

    #[test]
    fn only_a_missing_id_is_forgiven() {
        assert!(owned(Err(Errno::INVAL)).is_ok());
        assert!(owned(Err(Errno::PERM)).is_err());
        assert!(owned_io(Err(Errno::INVAL.into())).is_ok());
        assert!(owned_io(Err(Errno::PERM.into())).is_err());
    }
}
