//! Who a container's process runs as: `USER[:GROUP]` against the image's own account files (passwd(5), group(5)).

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use crate::SandboxError;
use crate::error::{Result, errno};

/// Largest account file that is read, in bytes. A real one has some kilobytes; images are not trusted.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A resolved user, by ids inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups: those of /etc/group that list the user, unless a group was given.
    pub groups: Vec<u32>,
    /// Home directory; `/` when unknown.
    pub home: String,
    /// Account name, when the image knows one.
    pub name: Option<String>,
}

/// Resolves `spec` (`""` = root, `name`, `uid`, `name:group`, `uid:gid`) in the root directory `root`.
///
/// A number needs no account; a name does. Errors: [`SandboxError::UnknownUser`], [`SandboxError::BadUser`].
pub fn resolve_user(root: BorrowedFd<'_>, spec: &str) -> Result<User> {
    resolve(spec, &mut |path| read_beneath(root, path).map(|found| found.map(Content::Text)))
}

/// As [`resolve_user`], in overlay directories that are not mounted, topmost first: the first that has the file, or a
/// whiteout of it, counts.
pub fn resolve_user_in(layers: &[PathBuf], spec: &str) -> Result<User> {
    resolve(spec, &mut |path| {
        for layer in layers {
            let root = openat(CWD, layer, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(SandboxError::path("open the layer", layer))?;
            if let Some(found) = read_beneath(root.as_fd(), path)? {
                return Ok(Some(Content::Text(found)));
            }
            if is_whiteout(root.as_fd(), path) {
                return Ok(Some(Content::Removed));
            }
        }
        Ok(None)
    })
}

enum Content {
    Text(String),
    Removed,
}

type Reader<'r> = dyn FnMut(&str) -> Result<Option<Content>> + 'r;

fn resolve(spec: &str, read: &mut Reader<'_>) -> Result<User> {
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let bad = || SandboxError::BadUser { spec: spec.to_owned() };
    if group.is_some_and(|g| g.is_empty() || g.contains(':')) {
        return Err(bad());
    }
    let user = if user.is_empty() { "0" } else { user };
    let number = parse_id(user).map_err(|()| bad())?;
    let passwd = text(read, "etc/passwd")?;
    let account = accounts(&passwd).find(|a| a.name == user || Some(a.uid) == number);
    let mut resolved = match (&account, number) {
        (Some(a), _) => User {
            uid: a.uid,
            gid: a.gid,
            groups: Vec::new(),
            home: if a.home.is_empty() { "/".to_owned() } else { a.home.to_owned() },
            name: Some(a.name.to_owned()),
        },
        // docker: a bare number without an account belongs to group 0.
        (None, Some(uid)) => User { uid, gid: 0, groups: Vec::new(), home: "/".to_owned(), name: None },
        (None, None) => {
            return Err(SandboxError::UnknownUser { kind: "user", name: user.to_owned(), file: "/etc/passwd" });
        }
    };
    match group {
        Some(group) => resolved.gid = group_id(read, group, &bad)?,
        None => {
            if let Some(name) = resolved.name.clone() {
                let file = text(read, "etc/group")?;
                let listed = groups(&file).filter(|g| g.members.split(',').any(|m| m == name)).map(|g| g.gid);
                resolved.groups = listed.filter(|gid| *gid != resolved.gid).collect();
                resolved.groups.sort_unstable();
                resolved.groups.dedup();
            }
        }
    }
    Ok(resolved)
}

fn group_id(read: &mut Reader<'_>, group: &str, bad: &dyn Fn() -> SandboxError) -> Result<u32> {
    if let Some(number) = parse_id(group).map_err(|()| bad())? {
        return Ok(number);
    }
    let file = text(read, "etc/group")?;
    let found = groups(&file).find(|g| g.name == group).map(|g| g.gid);
    found.ok_or_else(|| SandboxError::UnknownUser { kind: "group", name: group.to_owned(), file: "/etc/group" })
}

/// `Ok(None)`: a name. `Err`: a number that is no id. The largest number means "no change" to the kernel.
fn parse_id(text: &str) -> Result<Option<u32>, ()> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    text.parse::<u32>().ok().filter(|id| *id < u32::MAX).map(Some).ok_or(())
}

fn text(read: &mut Reader<'_>, path: &str) -> Result<String> {
    Ok(match read(path)? {
        Some(Content::Text(text)) => text,
        Some(Content::Removed) | None => String::new(),
    })
}

struct Account<'t> {
    name: &'t str,
    uid: u32,
    gid: u32,
    home: &'t str,
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid, _) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next());
        let home = fields.next().unwrap_or_default();
        Some(Account { name, uid: uid.trim().parse().ok()?, gid: gid.trim().parse().ok()?, home })
    })
}

struct Group<'t> {
    name: &'t str,
    gid: u32,
    members: &'t str,
}

fn groups(file: &str) -> impl Iterator<Item = Group<'_>> {
    file.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Group { name, gid: gid.trim().parse().ok()?, members: fields.next().unwrap_or_default().trim() })
    })
}

/// The file's text, or `None` where there is no such file. Only regular files are read: opening a fifo would block.
fn read_beneath(root: BorrowedFd<'_>, path: &str) -> Result<Option<String>> {
    let error =
        |e| SandboxError::Path { what: "read in the image", path: PathBuf::from(format!("/{path}")), source: e };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let fd = match openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(e) => return Err(error(e)),
    };
    let kind = fstat(&fd).map_err(error)?.st_mode;
    if FileType::from_raw_mode(kind) != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    std::fs::File::from(fd).take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|e| error(errno(&e)))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// overlayfs marks a removed file by a character device 0:0; a removed directory above counts too.
fn is_whiteout(root: BorrowedFd<'_>, path: &str) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    std::path::Path::new(path).ancestors().filter(|p| !p.as_os_str().is_empty()).any(|p| {
        openat2(root, p, flags, Mode::empty(), resolve).and_then(fstat).is_ok_and(|facts| {
            FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice && facts.st_rdev == 0
        })
    })
}

/// The id mapping of an existing user namespace, by path such as `/proc/123/ns/user`, as this process sees it.
pub fn id_map_of(path: &std::path::Path) -> Result<crate::IdMap> {
    crate::stage::id_map_of(path).map_err(SandboxError::path("read the id map of the user namespace", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken line\nwww-data:x:33:33::/var/www:/bin/false\n7:x:1007:7::/seven:\n";
    const GROUP: &str = "root:x:0:\nwww-data:x:33:\nssl:x:110:postgres,www-data\nlog:x:4:www-data\n";

    fn find(spec: &str) -> Result<User> {
        resolve(spec, &mut |path| {
            Ok(Some(Content::Text(if path == "etc/passwd" { PASSWD.to_owned() } else { GROUP.to_owned() })))
        })
    }

    #[test]
    fn names_bring_their_group_home_and_further_groups() {
        let user = find("www-data").unwrap();
        assert_eq!((user.uid, user.gid, user.groups, user.home.as_str()), (33, 33, vec![4, 110], "/var/www"));
        assert_eq!(find("").unwrap().home, "/root");
        assert_eq!(find("33").unwrap().name.as_deref(), Some("www-data"));
    }

    #[test]
    fn numbers_need_no_account_and_a_given_group_replaces_all_others() {
        let user = find("1234").unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str()), (1234, 0, "/"));
        let user = find("www-data:ssl").unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (33, 110, vec![]));
        assert_eq!(find("5:6").unwrap().gid, 6);
    }

    #[test]
    fn unknown_names_and_nonsense_are_errors() {
        assert!(matches!(find("nobody"), Err(SandboxError::UnknownUser { kind: "user", .. })));
        assert!(matches!(find("root:nogroup"), Err(SandboxError::UnknownUser { kind: "group", .. })));
        for bad in ["root:", "1:2:3", "4294967295", "99999999999"] {
            assert!(matches!(find(bad), Err(SandboxError::BadUser { .. })), "{bad}");
        }
    }

    #[test]
    fn layers_are_read_topmost_first_and_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let layer = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.join("etc")).unwrap();
            path
        };
        let (top, bottom) = (layer("top"), layer("bottom"));
        std::fs::write(bottom.join("etc/passwd"), "a:x:1:1::/a:\n").unwrap();
        assert_eq!(resolve_user_in(&[top.clone(), bottom.clone()], "a").unwrap().uid, 1);
        std::fs::write(top.join("real"), "a:x:2:2::/a:\n").unwrap();
        std::os::unix::fs::symlink("/real", top.join("etc/passwd")).unwrap();
        assert_eq!(resolve_user_in(&[top.clone(), bottom.clone()], "a").unwrap().uid, 2);
        std::fs::remove_file(top.join("etc/passwd")).unwrap();
        std::os::unix::fs::symlink("../../../../../../../../etc/passwd", top.join("etc/passwd")).unwrap();
        assert!(matches!(resolve_user_in(&[top], "root"), Err(SandboxError::UnknownUser { .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_text_resolves_or_fails_but_never_panics(file: String, spec: String) {
            let _ = resolve(&spec, &mut |_| Ok(Some(Content::Text(file.clone()))));
        }
    }
}
