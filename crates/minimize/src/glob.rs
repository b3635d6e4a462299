//! Patterns of paths: `*` is any part of one name, `**` any part of a path.

/// Whether a path without a leading slash fits a pattern (with or without one). A pattern of a directory fits all below.
pub fn fits(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_matches('/');
    matches(pattern.as_bytes(), path.as_bytes())
        || matches([pattern.as_bytes(), b"/**"].concat().as_slice(), path.as_bytes())
}

/// Linear in memory; the product of the lengths in time, at worst, for each `**`.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    // The places in the pattern where a star could take one character more: pattern and path position, and its kind.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p..p + 2) == Some(b"**") {
            double = Some((p + 2, t));
            star = None;
            p += 2;
        } else if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if t == path.len() && p == pattern.len() {
            return true;
        } else if t < path.len() && pattern.get(p) == path.get(t) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((from, at)) = star.filter(|(_, at)| path.get(*at).is_some_and(|c| *c != b'/')) {
            star = Some((from, at + 1));
            (p, t) = (from, at + 1);
        } else if let Some((from, at)) = double.filter(|(_, at)| *at < path.len()) {
            double = Some((from, at + 1));
            star = None;
            (p, t) = (from, at + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_in_names_and_double_stars_do_not() {
        for (pattern, path, expected) in [
            ("/etc/passwd", "etc/passwd", true),
            ("etc", "etc/a/b", true),
            ("etc", "etcetera", false),
            ("usr/lib/*/libnss_*.so*", "usr/lib/x86_64-linux-gnu/libnss_dns.so.2", true),
            ("usr/lib/*.so", "usr/lib/a/b.so", false),
            ("**/*.gemspec", "var/a/b/c.gemspec", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "a/b/c/y", false),
            ("*", "a/b", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
