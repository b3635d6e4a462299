//! A configuration to start from (`spec`).

use serde_json::{Value, json};
use stockade_sandbox::defaults;

/// The default configuration: a shell with few capabilities, all namespaces new, nothing writable of the kernel's. The
/// caller fills in what it wants to be different.
pub fn default_spec() -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "ociVersion": crate::SPEC_VERSION,
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "stockade",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
              "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
              "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] },
        ],
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "cgroup" },
            ],
            "maskedPaths": defaults::masked_paths(),
            "readonlyPaths": defaults::readonly_paths(),
        },
    })
}

/// [`default_spec`] for an ordinary user (`spec --rootless`): a user namespace with the caller as its root, the host's
/// network, /sys bound, and no limits, which would need a control group.
pub fn rootless_spec(uid: u32, gid: u32) -> Value {
    let mut spec = default_spec();
    let list = |spec: &mut Value, pointer: &str, change: &dyn Fn(Vec<Value>) -> Vec<Value>| {
        if let Some(Value::Array(list)) = spec.pointer_mut(pointer) {
            *list = change(std::mem::take(list));
        }
    };
    list(&mut spec, "/linux/namespaces", &|names| {
        let kept = names.into_iter().filter(|n| n["type"] != "network");
        kept.chain([json!({ "type": "user" })]).collect()
    });
    list(&mut spec, "/mounts", &|mounts| {
        let kept = mounts.into_iter().filter(|m| m["type"] != "cgroup");
        let change = |mut mount: Value| {
            if mount["destination"] == "/sys" {
                return json!({ "destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] });
            }
            if let Some(options) = mount["options"].as_array_mut() {
                // Of the groups there is only the caller's.
                options.retain(|o| !o.as_str().is_some_and(|o| o.starts_with("gid=") || o.starts_with("uid=")));
            }
            mount
        };
        kept.map(change).collect()
    });
    if let Some(linux) = spec["linux"].as_object_mut() {
        linux.remove("resources");
        linux.insert("uidMappings".to_owned(), json!([{ "containerID": 0, "hostID": uid, "size": 1 }]));
        linux.insert("gidMappings".to_owned(), json!([{ "containerID": 0, "hostID": gid, "size": 1 }]));
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_can_be_translated() {
        let spec: crate::spec::Spec = serde_json::from_value(default_spec()).unwrap();
        let bundle = tempfile::tempdir().unwrap();
        std::fs::create_dir(bundle.path().join("rootfs")).unwrap();
        let around = crate::translate::Surroundings {
            id: "x",
            bundle: bundle.path(),
            terminal: (80, 24),
            keep_descriptors: 0,
            keep_keyring: false,
        };
        let translated = crate::translate::plan(&spec, &around).unwrap();
        assert_eq!(translated.warnings, Vec::<String>::new());
        assert_eq!(translated.plan.mounts.len(), 7);
    }
}
