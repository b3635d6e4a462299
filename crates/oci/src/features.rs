//! What this runtime can do (`features.md`, `features-linux.md`).

use serde_json::{Value, json};
use stockade_sandbox::caps;

use crate::translate;

/// The structure.
pub fn features() -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": crate::SPEC_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": translate::option_names(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": caps::ALL.names(),
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": translate::ACTIONS,
                "operators": translate::OPERATORS,
                "archs": translate::ARCHITECTURES,
                "knownFlags": translate::FLAGS,
                "supportedFlags": translate::FLAGS,
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": true } },
        },
        "annotations": { "org.stockade.version": env!("CARGO_PKG_VERSION") },
    })
}
