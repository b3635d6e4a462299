//! Namespaces, id mappings, device nodes, names, clocks.

use std::path::Path;

use stockade_sandbox::{IdMap, IdRange, Namespace, Namespaces, Node, NodeKind, Propagation, TimeOffset, user};

use crate::spec::{IdMapping, Linux, Spec};
use crate::{OciError, Result};

/// What this runtime cannot do.
pub(super) fn refuse(linux: &Linux) -> Result<()> {
    let refuse = |what: &str, why: &str| Err(OciError::unsupported(what, why));
    let given = |value: &Option<serde_json::Value>| value.as_ref().is_some_and(|v| !v.is_null());
    if given(&linux.intel_rdt) {
        return refuse("linux.intelRdt", "cache and bandwidth allocation is not implemented; leave it out");
    }
    if given(&linux.net_devices) {
        return refuse("linux.netDevices", "it is newer than the specification 1.2; move the device with a hook");
    }
    if given(&linux.memory_policy) {
        return refuse("linux.memoryPolicy", "it is newer than the specification 1.2; use linux.resources.cpu.mems");
    }
    if linux.mount_label.as_deref().is_some_and(|l| !l.is_empty()) && !Path::new("/sys/fs/selinux/status").exists() {
        return refuse("linux.mountLabel", "this kernel has no SELinux; leave it out");
    }
    if linux.mount_label.as_deref().is_some_and(|l| !l.is_empty()) {
        return refuse("linux.mountLabel", "labelled mounts are not implemented; use `context=` in mounts[].options");
    }
    Ok(())
}

/// Namespaces that the configuration does not name are the caller's.
pub(super) fn namespaces(linux: &Linux) -> Result<Namespaces> {
    let host = || Namespace::Host;
    let mut names =
        Namespaces { user: host(), pid: host(), net: host(), ipc: host(), uts: host(), cgroup: host(), time: host() };
    let mut mount = false;
    let mut seen = Vec::new();
    for (at, namespace) in linux.namespaces.iter().enumerate() {
        let what = |field: &str| format!("linux.namespaces[{at}].{field}");
        let kind = namespace.kind.as_str();
        if seen.contains(&kind) {
            return Err(OciError::config(what("type"), format!("`{kind}` is there twice")));
        }
        seen.push(kind);
        let path = namespace.path.as_deref().filter(|p| !p.is_empty());
        let wanted = match path {
            None => Namespace::New,
            Some(path) if path.starts_with('/') => Namespace::Join(path.into()),
            Some(path) => return Err(OciError::config(what("path"), format!("`{path}` is not absolute"))),
        };
        let place = match kind {
            "user" => &mut names.user,
            "pid" => &mut names.pid,
            "network" => &mut names.net,
            "ipc" => &mut names.ipc,
            "uts" => &mut names.uts,
            "cgroup" => &mut names.cgroup,
            "time" => &mut names.time,
            "mount" if path.is_some() => {
                return Err(OciError::unsupported(
                    what("path"),
                    "a mount namespace cannot be joined: the container's mounts would be made in somebody else's; leave the path out",
                ));
            }
            "mount" => {
                mount = true;
                continue;
            }
            other => return Err(OciError::config(what("type"), format!("`{other}` is no kind of namespace"))),
        };
        *place = wanted;
    }
    if !mount {
        return Err(OciError::unsupported(
            "linux.namespaces without `mount`",
            "the container's mounts would be made in the caller's namespace; add {\"type\": \"mount\"}",
        ));
    }
    Ok(names)
}

pub(super) fn id_map(linux: &Linux, names: &Namespaces) -> Result<Option<IdMap>> {
    let own = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    match &names.user {
        Namespace::Host if own => {
            Err(OciError::config("linux.uidMappings", "needs a namespace of type `user` in linux.namespaces"))
        }
        Namespace::Host => Ok(None),
        Namespace::Join(path) if !own => Ok(Some(user::id_map_of(path)?)),
        Namespace::New if linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty() => Err(OciError::config(
            "linux.uidMappings",
            "and linux.gidMappings are needed for a new user namespace: without them no user exists in it",
        )),
        _ => Ok(Some(IdMap { uid: ranges(&linux.uid_mappings), gid: ranges(&linux.gid_mappings) })),
    }
}

pub(super) fn ranges(mappings: &[IdMapping]) -> Vec<IdRange> {
    mappings.iter().map(|m| IdRange { inside: m.container_id, outside: m.host_id, count: m.size }).collect()
}

/// Host and domain name.
pub(super) fn names(spec: &Spec, names: &Namespaces) -> Result<(Option<String>, Option<String>)> {
    let given = |name: &Option<String>| name.clone().filter(|n| !n.is_empty());
    let (host, domain) = (given(&spec.hostname), given(&spec.domainname));
    for (what, value) in [("hostname", &host), ("domainname", &domain)] {
        if value.is_some() && names.uts == Namespace::Host {
            return Err(OciError::config(
                what,
                "needs a namespace of type `uts` in linux.namespaces: it is the host's",
            ));
        }
    }
    Ok((host, domain))
}

pub(super) fn nodes(linux: &Linux) -> Result<Vec<Node>> {
    let node = |(at, device): (usize, &crate::spec::Device)| {
        let what = |field: &str| format!("linux.devices[{at}].{field}");
        let number = |field: &str, value: Option<i64>| {
            let value = value.ok_or_else(|| OciError::config(what(field), "is missing"))?;
            u32::try_from(value).map_err(|_| OciError::config(what(field), format!("{value} is no device number")))
        };
        let kind = match device.kind.as_str() {
            "c" | "u" => NodeKind::Character(number("major", device.major)?, number("minor", device.minor)?),
            "b" => NodeKind::Block(number("major", device.major)?, number("minor", device.minor)?),
            "p" => NodeKind::Fifo,
            other => return Err(OciError::config(what("type"), format!("`{other}` is none of c, b, u and p"))),
        };
        if !device.path.starts_with('/') {
            return Err(OciError::config(what("path"), "must be an absolute path"));
        }
        Ok(Node {
            target: device.path.clone(),
            kind,
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            uid: device.uid.unwrap_or(0),
            gid: device.gid.unwrap_or(0),
        })
    };
    linux.devices.iter().flatten().enumerate().map(node).collect()
}

pub(super) fn time_offsets(linux: &Linux) -> Result<Vec<TimeOffset>> {
    let offset = |(clock, offset): (&String, &crate::spec::TimeOffset)| match clock.as_str() {
        "monotonic" | "boottime" => {
            Ok(TimeOffset { clock: clock.clone(), seconds: offset.secs, nanoseconds: offset.nanosecs })
        }
        other => Err(OciError::config("linux.timeOffsets", format!("`{other}` is neither monotonic nor boottime"))),
    };
    linux.time_offsets.iter().map(offset).collect()
}

pub(super) fn root_propagation(linux: &Linux) -> Result<Option<Propagation>> {
    match linux.rootfs_propagation.as_deref() {
        None | Some("") => Ok(None),
        Some("private" | "rprivate") => Ok(Some(Propagation::Private)),
        Some("slave" | "rslave") => Ok(Some(Propagation::Slave)),
        Some("shared" | "rshared") => Ok(Some(Propagation::Shared)),
        Some("unbindable" | "runbindable") => Ok(Some(Propagation::Unbindable)),
        Some(other) => Err(OciError::config(
            "linux.rootfsPropagation",
            format!("`{other}` is none of shared, slave, private and unbindable"),
        )),
    }
}
