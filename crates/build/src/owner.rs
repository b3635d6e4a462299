//! `--chown` and `--chmod`.

use std::io::Read;

use crate::error::BuildError;
use crate::merged::Tree;
use crate::walk::open;

/// Largest `/etc/passwd` that is read, in bytes.
const MAX_DATABASE: u64 = 4 << 20;

/// Numbers of `user[:group]`, names looked up in the stage's own `/etc/passwd` and `/etc/group`.
///
/// A user's number alone is also the group's, as docker has it; a user's name alone takes the group of its entry.
/// Errors: `Ok(Err(words))` when a name is unknown.
pub(crate) fn resolve_owner(tree: &Tree, text: &str) -> Result<Result<(u32, u32), String>, BuildError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, login_gid) = match user.parse::<u32>() {
        Ok(uid) => (uid, uid),
        Err(_) if user.is_empty() && group.is_some() => (0, 0),
        Err(_) => match find(tree, b"/etc/passwd", user)? {
            Some(fields) => match (number(&fields, 2), number(&fields, 3)) {
                (Some(uid), Some(gid)) => (uid, gid),
                _ => return Ok(Err(format!("the entry of user `{user}` in the image's /etc/passwd is damaged"))),
            },
            None => return Ok(Err(format!("the image has no user `{user}`"))),
        },
    };
    let gid = match group {
        None | Some("") => login_gid,
        Some(group) => match group.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => match find(tree, b"/etc/group", group)?.and_then(|f| number(&f, 2)) {
                Some(gid) => gid,
                None => return Ok(Err(format!("the image has no group `{group}`"))),
            },
        },
    };
    Ok(Ok((uid, gid)))
}

fn number(fields: &[String], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok()
}

fn find(tree: &Tree, path: &[u8], name: &str) -> Result<Option<Vec<String>>, BuildError> {
    let Some(node) = tree.resolve(path, true)?.node.filter(|n| n.kind() == rustix::fs::FileType::RegularFile) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    open(&node.real)?.take(MAX_DATABASE).read_to_end(&mut bytes).map_err(BuildError::io("read", &node.real))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .map(|l| l.split(':').map(str::to_owned).collect::<Vec<_>>())
        .find(|f| f.first().is_some_and(|n| n == name)))
}

/// `--chmod`: octal, or symbolic clauses as of chmod(1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    Octal(u32),
    Symbolic(Vec<Clause>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits of the named classes: user 0o700, group 0o070, others 0o007.
    who: u32,
    operator: u8,
    /// Permissions for one class, 0..=7.
    bits: u32,
    /// `X`: execute for directories and for what some class may execute.
    conditional_execute: bool,
    setid: bool,
    sticky: bool,
}

impl ModeChange {
    /// `None` when the text is no mode.
    pub(crate) fn parse(text: &str) -> Option<ModeChange> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok()?;
            return (!text.is_empty() && mode <= 0o7777).then_some(ModeChange::Octal(mode));
        }
        text.split(',').map(clauses).collect::<Option<Vec<_>>>().map(|c| ModeChange::Symbolic(c.concat()))
    }

    /// The mode after the change.
    pub(crate) fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let clauses = match self {
            ModeChange::Octal(mode) => return *mode,
            ModeChange::Symbolic(clauses) => clauses,
        };
        clauses.iter().fold(mode, |mode, c| {
            let execute = u32::from(c.conditional_execute && (is_dir || mode & 0o111 != 0));
            let one = c.bits | execute;
            let mut bits = (one * 0o111) & c.who;
            if c.setid {
                bits |= if c.who & 0o700 != 0 { 0o4000 } else { 0 } | if c.who & 0o070 != 0 { 0o2000 } else { 0 };
            }
            if c.sticky && c.who & 0o007 != 0 {
                bits |= 0o1000;
            }
            match c.operator {
                b'+' => mode | bits,
                b'-' => mode & !bits,
                _ => {
                    // As with chmod(1): unless said, setuid and setgid go from files and stay on directories.
                    let setid =
                        if c.who & 0o700 != 0 { 0o4000 } else { 0 } | if c.who & 0o070 != 0 { 0o2000 } else { 0 };
                    let cleared = if is_dir { c.who } else { c.who | setid };
                    (mode & !cleared) | bits
                }
            }
        })
    }
}

/// One clause such as `u+rw-x`, or `None`.
fn clauses(text: &str) -> Option<Vec<Clause>> {
    let operator_at = text.find(['+', '-', '='])?;
    let (who_text, mut rest) = text.split_at(operator_at);
    let mut who = 0;
    for c in who_text.chars() {
        who |= match c {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => return None,
        };
    }
    if who == 0 {
        who = 0o777;
    }
    let mut out = Vec::new();
    while let Some(operator) = rest.bytes().next() {
        let body = rest.get(1..)?;
        let end = body.find(['+', '-', '=']).unwrap_or(body.len());
        let mut clause = Clause { who, operator, bits: 0, conditional_execute: false, setid: false, sticky: false };
        for c in body.get(..end)?.chars() {
            match c {
                'r' => clause.bits |= 4,
                'w' => clause.bits |= 2,
                'x' => clause.bits |= 1,
                'X' => clause.conditional_execute = true,
                's' => clause.setid = true,
                't' => clause.sticky = true,
                _ => return None,
            }
        }
        out.push(clause);
        rest = body.get(end..)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_change_as_chmod_does() {
        for (text, mode, dir, expected) in [
            ("755", 0o644, false, 0o755),
            ("0600", 0o644, false, 0o600),
            ("4755", 0o644, false, 0o4755),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("a-w,u+w", 0o666, false, 0o644),
            ("go=", 0o755, false, 0o700),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("u=rwX,go=rX", 0o6755, false, 0o755),
            ("u=rwX,go=rX", 0o6755, true, 0o6755),
            ("ug+s", 0o755, false, 0o6755),
            ("o+t", 0o777, true, 0o1777),
        ] {
            assert_eq!(ModeChange::parse(text).unwrap().apply(mode, dir), expected, "{text}");
        }
        for bad in ["", "8", "99999", "u", "q+x", "u+q", "u+x,", "17777"] {
            assert_eq!(ModeChange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_come_from_the_image() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n").unwrap();
        std::fs::write(dir.path().join("etc/group"), "root:x:0:\nstaff:x:50:\n").unwrap();
        let tree = Tree::plain(dir.path().to_owned());
        let owner = |text| resolve_owner(&tree, text).unwrap();
        assert_eq!(owner("web"), Ok((33, 34)));
        assert_eq!(owner("web:staff"), Ok((33, 50)));
        assert_eq!(owner("1000"), Ok((1000, 1000)));
        assert_eq!(owner("1000:5"), Ok((1000, 5)));
        assert!(owner("nobody").unwrap_err().contains("no user `nobody`"));
        assert!(owner("web:nogroup").is_err());
    }
}
