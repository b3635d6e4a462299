//! `mounts`: kinds and options (`config.md`, "Linux mount options").

use std::path::Path;

use stockade_sandbox::{IdMap, Mount, MountFlags, MountKind, Propagation};

use crate::spec;
use crate::{OciError, Result};

use super::linux::ranges;

/// What an option does. Bits are `MOUNT_ATTR_*` and `MS_*`.
#[derive(Clone, Copy)]
enum Effect {
    Nothing,
    Set(u64),
    Clear(u64),
    SetBelow(u64),
    ClearBelow(u64),
    FileSystem(u64),
    NotFileSystem(u64),
    Propagation(Propagation, bool),
    Bind(bool),
    Idmap(bool),
    CopyUp,
    Refused(&'static str),
}

use Effect::{Bind, Clear, ClearBelow, CopyUp, FileSystem, Idmap, NotFileSystem, Nothing, Refused, Set, SetBelow};

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const ATIME: u64 = 0x70;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

const MS_SYNCHRONOUS: u64 = 16;
const MS_MANDLOCK: u64 = 64;
const MS_DIRSYNC: u64 = 128;
const MS_SILENT: u64 = 1 << 15;
const MS_I_VERSION: u64 = 1 << 23;
const MS_LAZYTIME: u64 = 1 << 25;

#[rustfmt::skip]
const OPTIONS: &[(&str, Effect)] = &[
    ("async", NotFileSystem(MS_SYNCHRONOUS)), ("atime", Clear(ATIME)), ("bind", Bind(false)), ("defaults", Nothing),
    ("dev", Clear(NODEV)), ("diratime", Clear(NODIRATIME)), ("dirsync", FileSystem(MS_DIRSYNC)),
    ("exec", Clear(NOEXEC)), ("idmap", Idmap(false)), ("iversion", FileSystem(MS_I_VERSION)),
    ("lazytime", FileSystem(MS_LAZYTIME)), ("loud", NotFileSystem(MS_SILENT)), ("mand", FileSystem(MS_MANDLOCK)),
    ("noatime", Set(NOATIME)), ("nodev", Set(NODEV)), ("nodiratime", Set(NODIRATIME)), ("noexec", Set(NOEXEC)),
    ("noiversion", NotFileSystem(MS_I_VERSION)), ("nolazytime", NotFileSystem(MS_LAZYTIME)),
    ("nomand", NotFileSystem(MS_MANDLOCK)), ("norelatime", Set(STRICTATIME)), ("nostrictatime", Clear(ATIME)),
    ("nosuid", Set(NOSUID)), ("nosymfollow", Set(NOSYMFOLLOW)),
    ("private", Effect::Propagation(Propagation::Private, false)), ("ratime", ClearBelow(ATIME)),
    ("rbind", Bind(true)), ("rdev", ClearBelow(NODEV)), ("rdiratime", ClearBelow(NODIRATIME)),
    ("relatime", Clear(ATIME)),
    ("remount", Refused("there is nothing to remount in a new container; mount it with the options that it shall have")),
    ("rexec", ClearBelow(NOEXEC)), ("ridmap", Idmap(true)), ("rnoatime", SetBelow(NOATIME)),
    ("rnodev", SetBelow(NODEV)), ("rnodiratime", SetBelow(NODIRATIME)), ("rnoexec", SetBelow(NOEXEC)),
    ("rnorelatime", SetBelow(STRICTATIME)), ("rnostrictatime", ClearBelow(ATIME)), ("rnosuid", SetBelow(NOSUID)),
    ("rnosymfollow", SetBelow(NOSYMFOLLOW)), ("ro", Set(RDONLY)),
    ("rprivate", Effect::Propagation(Propagation::Private, true)), ("rrelatime", ClearBelow(ATIME)),
    ("rro", SetBelow(RDONLY)), ("rrw", ClearBelow(RDONLY)),
    ("rshared", Effect::Propagation(Propagation::Shared, true)),
    ("rslave", Effect::Propagation(Propagation::Slave, true)), ("rstrictatime", SetBelow(STRICTATIME)),
    ("rsuid", ClearBelow(NOSUID)), ("rsymfollow", ClearBelow(NOSYMFOLLOW)),
    ("runbindable", Effect::Propagation(Propagation::Unbindable, true)), ("rw", Clear(RDONLY)),
    ("shared", Effect::Propagation(Propagation::Shared, false)), ("silent", FileSystem(MS_SILENT)),
    ("slave", Effect::Propagation(Propagation::Slave, false)), ("strictatime", Set(STRICTATIME)),
    ("suid", Clear(NOSUID)), ("symfollow", Clear(NOSYMFOLLOW)), ("sync", FileSystem(MS_SYNCHRONOUS)),
    ("tmpcopyup", CopyUp),
    ("unbindable", Effect::Propagation(Propagation::Unbindable, false)),
];

/// The names of the options that are not specific to a file system.
pub fn option_names() -> Vec<&'static str> {
    OPTIONS.iter().filter(|(_, effect)| !matches!(effect, Refused(_))).map(|(name, _)| *name).collect()
}

/// What a list of options comes to.
#[derive(Default)]
struct Read {
    flags: MountFlags,
    bind: Option<bool>,
    idmap: Option<bool>,
    data: Vec<String>,
}

fn read(what: &str, options: &[String]) -> Result<Read> {
    let mut read = Read::default();
    for option in options.iter().flat_map(|o| o.split(',')).filter(|o| !o.is_empty()) {
        let found = OPTIONS.binary_search_by_key(&option, |(name, _)| name).ok().and_then(|at| OPTIONS.get(at));
        let bits = &mut read.flags.bits;
        match found.map(|(_, effect)| *effect) {
            None => read.data.push(option.to_owned()),
            Some(Nothing) => {}
            // The later one of two that contradict each other counts.
            Some(Set(bit)) => {
                bits.set = if bit & ATIME != 0 { bits.set & !ATIME } else { bits.set } | bit;
                bits.clear &= !bit;
            }
            Some(Clear(bit)) => (bits.clear, bits.set) = (bits.clear | bit, bits.set & !bit),
            Some(SetBelow(bit)) => {
                bits.set_below = if bit & ATIME != 0 { bits.set_below & !ATIME } else { bits.set_below } | bit;
                bits.clear_below &= !bit;
            }
            Some(ClearBelow(bit)) => {
                (bits.clear_below, bits.set_below) = (bits.clear_below | bit, bits.set_below & !bit);
            }
            Some(FileSystem(flag)) => bits.file_system |= flag,
            Some(NotFileSystem(flag)) => bits.file_system &= !flag,
            Some(Effect::Propagation(propagation, below)) => {
                read.flags.propagation = propagation;
                bits.propagate_below = below;
            }
            Some(Bind(recursive)) => read.bind = Some(recursive || read.bind == Some(true)),
            Some(Idmap(recursive)) => read.idmap = Some(recursive || read.idmap == Some(true)),
            Some(CopyUp) => bits.copy_up = true,
            Some(Refused(why)) => return Err(OciError::unsupported(format!("{what}.options: {option}"), why)),
        }
    }
    Ok(read)
}

/// Whether it binds something of the host's.
pub(super) fn is_bind(mount: &spec::Mount) -> bool {
    mount.kind.as_deref() == Some("bind")
        || mount.options.iter().flatten().any(|o| matches!(o.as_str(), "bind" | "rbind"))
}

/// All mounts, in order.
pub(super) fn mounts(list: &[spec::Mount], bundle: &Path) -> Result<Vec<Mount>> {
    list.iter().enumerate().map(|(at, m)| mount(&format!("mounts[{at}]"), m, bundle)).collect()
}

fn mount(what: &str, mount: &spec::Mount, bundle: &Path) -> Result<Mount> {
    if mount.destination.is_empty() {
        return Err(OciError::config(format!("{what}.destination"), "is empty"));
    }
    let read = read(what, mount.options.as_deref().unwrap_or_default())?;
    // Old configurations may have relative targets; they are read from the root (config.md).
    let target = format!("/{}", mount.destination.trim_start_matches('/'));
    let kind = if is_bind(mount) { bind(what, mount, &read, bundle)? } else { file_system(what, mount, &read)? };
    Ok(Mount { kind, target, flags: read.flags })
}

fn bind(what: &str, mount: &spec::Mount, read: &Read, bundle: &Path) -> Result<MountKind> {
    let source = mount.source.as_deref().filter(|s| !s.is_empty());
    let source = source.ok_or_else(|| OciError::config(format!("{what}.source"), "is missing for a bind mount"))?;
    if let Some(option) = read.data.first() {
        let what = format!("{what}.options: {option}");
        return Err(OciError::unsupported(what, "a bind mount has no options of a file system; leave it out"));
    }
    if read.flags.bits.copy_up {
        let why = "only a tmpfs begins with a copy of what it covers";
        return Err(OciError::unsupported(format!("{what}.options: tmpcopyup"), why));
    }
    let source = bundle.join(source);
    let recursive = read.bind == Some(true);
    let maps = (mount.uid_mappings.as_deref().unwrap_or_default(), mount.gid_mappings.as_deref().unwrap_or_default());
    let map = match maps {
        ([], []) => None,
        ([], _) | (_, []) => {
            return Err(OciError::config(format!("{what}.uidMappings"), "and gidMappings belong together"));
        }
        (uid, gid) => Some(IdMap { uid: ranges(uid), gid: ranges(gid) }),
    };
    if map.is_none() && read.idmap.is_none() {
        return Ok(MountKind::Bind { source, recursive, idmapped: false });
    }
    Ok(MountKind::MappedBind { source, recursive, map, map_recursively: read.idmap == Some(true) })
}

fn file_system(what: &str, mount: &spec::Mount, read: &Read) -> Result<MountKind> {
    let fstype = mount.kind.clone().filter(|k| !k.is_empty() && k != "none");
    let fstype = fstype.ok_or_else(|| OciError::config(format!("{what}.type"), "is missing"))?;
    let mapped = read.idmap.is_some() || mount.uid_mappings.is_some() || mount.gid_mappings.is_some();
    if mapped {
        let why = "only bind mounts have an id mapping of their own here; bind a mounted directory";
        return Err(OciError::unsupported(format!("{what}.uidMappings"), why));
    }
    if read.flags.bits.copy_up && fstype != "tmpfs" {
        let why = "only a tmpfs begins with a copy of what it covers";
        return Err(OciError::unsupported(format!("{what}.options: tmpcopyup"), why));
    }
    let source = mount.source.clone().filter(|s| !s.is_empty()).unwrap_or_else(|| fstype.clone());
    let data = if fstype.starts_with("cgroup") { String::new() } else { read.data.join(",") };
    Ok(MountKind::Other { fstype, source, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[&str]) -> Vec<String> {
        list.iter().map(|o| (*o).to_owned()).collect()
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(OPTIONS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(option_names().len() > 50 && !option_names().contains(&"remount"));
    }

    #[test]
    fn the_later_of_two_contradicting_options_counts() {
        let read = read("m", &options(&["ro", "rw", "noatime", "strictatime", "nosuid", "rro", "size=1k", "mode=755"]))
            .unwrap();
        assert_eq!(read.flags.bits.set, STRICTATIME | NOSUID);
        assert_eq!(read.flags.bits.set_below, RDONLY);
        assert_eq!(read.data.join(","), "size=1k,mode=755");
    }

    #[test]
    fn binds_are_known_by_type_or_option_and_refuse_what_they_cannot_have() {
        let bind = |opts: &[&str]| spec::Mount {
            destination: "data".into(),
            kind: Some("none".into()),
            source: Some("src".into()),
            options: Some(options(opts)),
            ..spec::Mount::default()
        };
        let made = mount("m", &bind(&["rbind", "ro", "rslave"]), Path::new("/b")).unwrap();
        assert_eq!(made.target, "/data");
        assert!(
            matches!(made.kind, MountKind::Bind { recursive: true, ref source, .. } if source == Path::new("/b/src"))
        );
        assert_eq!((made.flags.propagation, made.flags.bits.propagate_below), (Propagation::Slave, true));
        let refused = mount("mounts[0]", &bind(&["bind", "size=1"]), Path::new("/b")).unwrap_err().to_string();
        assert!(refused.contains("mounts[0].options: size=1"), "{refused}");
        assert!(mount("m", &bind(&["bind", "remount"]), Path::new("/b")).is_err());
    }
}
