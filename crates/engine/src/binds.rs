//! The user's mounts for the sandbox, with ids translated where the host's file systems can do that.
//!
//! A container with users of its own sees a bind mount's files as their owners see them on the host only when the mount
//! is id-mapped. Not every file system can be (mount_setattr(2)), and one bind may bring several along, so each of them
//! is bound by itself.

use std::fs;
use std::path::{Path, PathBuf};

use stockade_sandbox::{Mount, MountFlags, MountKind, Propagation};

use crate::spec::{MountSpec, MountType};
use crate::volume;

/// File systems that take id-mapped mounts (mount_setattr(2), and the kernel's `FS_ALLOW_IDMAP`).
const IDMAPPABLE: &[&str] = &[
    "bcachefs", "btrfs", "ceph", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fat", "msdos", "ntfs3", "squashfs",
    "tmpfs", "vfat", "xfs", "zfs",
];

/// Mounts of the host: where, and of which type.
#[derive(Debug, Default)]
pub(crate) struct HostMounts(Vec<(PathBuf, String)>);

impl HostMounts {
    /// Reads proc_pid_mountinfo(5).
    pub fn read() -> HostMounts {
        HostMounts::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(text: &str) -> HostMounts {
        let parse = |line: &str| {
            let point = line.split(' ').nth(4)?;
            let kind = line.split_once(" - ")?.1.split(' ').next()?;
            Some((PathBuf::from(unescape(point)), kind.to_owned()))
        };
        HostMounts(text.lines().filter_map(parse).collect())
    }

    /// Whether ids can be translated on what lies at `path`.
    fn can_translate(&self, path: &Path) -> bool {
        let holder =
            self.0.iter().filter(|(point, _)| path.starts_with(point)).max_by_key(|(p, _)| p.as_os_str().len());
        // Several mounts on one point: the last one covers the others, and max_by_key takes the last of equals.
        holder.is_some_and(|(_, kind)| IDMAPPABLE.contains(&kind.as_str()))
    }

    /// Mount points strictly below `path`, parents first.
    fn below(&self, path: &Path) -> Vec<&Path> {
        let mut points: Vec<&Path> =
            self.0.iter().map(|(p, _)| p.as_path()).filter(|p| *p != path && p.starts_with(path)).collect();
        points.sort();
        points.dedup();
        points
    }
}

/// Octal escapes of spaces, tabs, line breaks and backslashes.
fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) = (*first, tail) {
            out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What one mount of the user's becomes.
pub(crate) fn user_mounts(mount: &MountSpec, root: &Path, own_users: bool, host: &HostMounts) -> Vec<Mount> {
    let propagation = match mount.propagation.as_str() {
        "shared" | "rshared" => Propagation::Shared,
        "slave" | "rslave" => Propagation::Slave,
        _ => Propagation::Private,
    };
    let flags = MountFlags { readonly: mount.readonly, propagation, ..MountFlags::default() };
    match mount.kind {
        MountType::Tmpfs => vec![Mount {
            kind: MountKind::Tmpfs { size_bytes: mount.size_bytes, mode: mount.mode.unwrap_or(0o1777) },
            target: mount.target.clone(),
            flags: MountFlags { nosuid: true, nodev: true, noexec: !mount.exec, ..flags },
        }],
        MountType::Volume => {
            let source = volume::data(root, &mount.source);
            let idmapped = own_users && host.can_translate(&source);
            vec![bind(source, &mount.target, false, idmapped, MountFlags { nosuid: true, nodev: true, ..flags })]
        }
        MountType::Bind => binds(mount, own_users, host, flags),
    }
}

fn binds(mount: &MountSpec, own_users: bool, host: &HostMounts, flags: MountFlags) -> Vec<Mount> {
    // Mount points are known by their real paths.
    let source = fs::canonicalize(&mount.source).unwrap_or_else(|_| PathBuf::from(&mount.source));
    let below = if mount.non_recursive { Vec::new() } else { host.below(&source) };
    // One call is enough, and keeps mounts that come later (propagation), when no ids are to be translated.
    if !own_users || below.is_empty() {
        let idmapped = own_users && host.can_translate(&source);
        return vec![bind(source, &mount.target, !mount.non_recursive && !own_users, idmapped, flags)];
    }
    let mut mounts = vec![bind(source.clone(), &mount.target, false, host.can_translate(&source), flags)];
    for point in below {
        let Ok(rest) = point.strip_prefix(&source) else { continue };
        let target = format!("{}/{}", mount.target.trim_end_matches('/'), rest.to_string_lossy());
        mounts.push(bind(point.to_owned(), &target, false, host.can_translate(point), flags));
    }
    mounts
}

fn bind(source: PathBuf, target: &str, recursive: bool, idmapped: bool, flags: MountFlags) -> Mount {
    Mount { kind: MountKind::Bind { source, recursive, idmapped }, target: target.to_owned(), flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw - proc proc rw
24 22 0:6 / /srv rw - nfs4 server:/x rw
25 24 8:2 / /srv/local\\040disk rw shared:1 - xfs /dev/sdb rw
";

    fn show(spec: &MountSpec, own_users: bool) -> Vec<(String, bool, bool)> {
        user_mounts(spec, Path::new("/root"), own_users, &HostMounts::parse(TABLE))
            .into_iter()
            .map(|m| match m.kind {
                MountKind::Bind { recursive, idmapped, .. } => (m.target, recursive, idmapped),
                _ => (m.target, false, false),
            })
            .collect()
    }

    #[test]
    fn each_file_system_of_a_bind_is_mapped_if_it_can_be() {
        let spec = MountSpec { source: "/".into(), target: "/host".into(), ..MountSpec::default() };
        let expected = [("/host", true), ("/host/proc", false), ("/host/srv", false), ("/host/srv/local disk", true)];
        let expected: Vec<_> = expected.map(|(t, mapped)| (t.to_owned(), false, mapped)).to_vec();
        assert_eq!(show(&spec, true), expected);
        assert_eq!(show(&spec, false), [("/host".to_owned(), true, false)]);
        let flat = MountSpec { non_recursive: true, ..spec };
        assert_eq!(show(&flat, true), [("/host".to_owned(), false, true)]);
    }

    #[test]
    fn the_nearest_mount_decides() {
        let host = HostMounts::parse(TABLE);
        assert!(host.can_translate(Path::new("/etc/passwd")));
        assert!(!host.can_translate(Path::new("/srv/www")));
        assert!(host.can_translate(Path::new("/srv/local disk/www")));
        assert!(!HostMounts::default().can_translate(Path::new("/")));
    }

    proptest::proptest! {
        #[test]
        fn any_table_is_read(text in "\\PC{0,200}") { let _ = HostMounts::parse(&text); }
    }
}
