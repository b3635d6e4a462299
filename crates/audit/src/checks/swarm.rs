//! Section 7 of the benchmark: swarm. Not applicable where swarm is not active.

use serde_json::Value;

use super::{DaemonCheck, shown};
use crate::docker::facts::DockerFacts;
use crate::model::Degree::{Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

meta_of!(Swarm, (effort: Degree), level: 1, effort: effort, risk: Medium);

/// All checks of this section.
#[rustfmt::skip]
pub(super) static CHECKS: &[DaemonCheck] = &[
    DaemonCheck { meta: meta("too-many-managers", &["CIS-7.1"], Low, "There are few managers, an odd number",
        "Each manager holds all secrets of the swarm.", "Demote managers: docker node demote NODE."),
        test: |d| in_swarm(d, |info| {
            let n = info.pointer("/Swarm/Managers").and_then(Value::as_u64).unwrap_or(0);
            Verdict::of((1..=7).contains(&n) && n % 2 == 1, format!("Swarm.Managers: {n}"))
        }) },
    DaemonCheck { meta: meta("swarm-on-all-interfaces", &["CIS-7.2"], Medium, "Swarm listens on one interface",
        "The management port must not answer on every network.", "Initialise with --listen-addr ADDRESS:2377."),
        test: |d| in_swarm(d, |info| match std::fs::read_to_string("/proc/net/tcp") {
            Err(e) => Verdict::unknown(format!("/proc/net/tcp: {e}")),
            Ok(text) => {
                let tcp6 = std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
                Verdict::of(!listens_everywhere(&text) && !listens_everywhere(&tcp6), format!("port 2377; Swarm.NodeAddr: {}", shown(info.pointer("/Swarm/NodeAddr"))))
            }
        }) },
    DaemonCheck { meta: meta("overlay-not-encrypted", &["CIS-7.3"], Medium, "Overlay networks are encrypted",
        "Traffic between nodes can be read and changed on its way.", "Make the network with --opt encrypted."),
        test: |d| in_swarm(d, |_| match d.networks.as_ref() {
            Err(why) => Verdict::unknown(why.clone()),
            Ok(list) => {
                let plain: Vec<String> = list.as_array().into_iter().flatten()
                    .filter(|n| n.get("Driver").is_some_and(|d| d == "overlay"))
                    .filter(|n| n.pointer("/Options/encrypted").is_none())
                    .filter_map(|n| n.get("Name").and_then(Value::as_str)).map(str::to_owned).collect();
                if plain.is_empty() { Verdict::pass("every overlay network has Options.encrypted") } else { Verdict::fail(format!("not encrypted: {}", plain.join(", "))) }
            }
        }) },
    DaemonCheck { meta: meta("no-swarm-secrets", &["CIS-7.4"], Medium, "Secrets are kept as swarm secrets",
        "Secrets in the environment or in images are seen by many.", "Use docker secret create."),
        test: |d| in_swarm(d, |_| match d.secrets.as_deref() {
            None => Verdict::unknown("secrets were not listed"),
            Some(Err(why)) => Verdict::unknown(why.clone()),
            Some(Ok(list)) => Verdict::manual(format!("{} secrets", list.as_array().map_or(0, Vec::len))),
        }) },
    DaemonCheck { meta: meta("no-auto-lock", &["CIS-7.5"], Low, "Managers lock their keys",
        "A stolen disk of a manager holds the keys of the swarm.", "Run docker swarm update --autolock."),
        test: |d| in_swarm(d, |_| spec(d, "/Spec/EncryptionConfig/AutoLockManagers", |v| Verdict::of(v == Some(&Value::Bool(true)), format!("AutoLockManagers: {}", shown(v))))) },
    DaemonCheck { meta: meta("auto-lock-key-rotation", &["CIS-7.6"], Low, "The unlock key is rotated",
        "An old key may have been seen.", "Run docker swarm unlock-key --rotate."),
        test: |d| in_swarm(d, |_| Verdict::manual("docker does not record when the key was rotated")) },
    DaemonCheck { meta: meta("node-certificate-rotation", &["CIS-7.7"], Low, "Node certificates are rotated",
        "A stolen certificate is valid until it expires.", "Run docker swarm update --cert-expiry 720h."),
        test: |d| in_swarm(d, |_| spec(d, "/Spec/CAConfig/NodeCertExpiry", |v| Verdict::manual(format!("NodeCertExpiry: {} ns", shown(v))))) },
    DaemonCheck { meta: meta("ca-rotation", &["CIS-7.8"], Low, "The CA is rotated",
        "Whoever has the CA's key can join as a manager.", "Run docker swarm ca --rotate."),
        test: |d| in_swarm(d, |_| spec(d, "/UpdatedAt", |v| Verdict::manual(format!("swarm last updated: {}", shown(v))))) },
    DaemonCheck { meta: meta("shared-data-path", &["CIS-7.9"], Medium, "Management and data traffic are apart",
        "Application traffic can starve or watch the management plane.", "Initialise with --data-path-addr."),
        test: |d| in_swarm(d, |info| Verdict::manual(format!("Swarm.NodeAddr: {}", shown(info.pointer("/Swarm/NodeAddr"))))) },
];

fn in_swarm(d: &DockerFacts, test: impl FnOnce(&Value) -> Verdict) -> Verdict {
    match d.info.as_ref() {
        Err(why) => Verdict::unknown(why.clone()),
        Ok(info) if info.pointer("/Swarm/LocalNodeState").is_some_and(|s| s == "active") => test(info),
        Ok(_) => Verdict::not_applicable("swarm is not active"),
    }
}

fn spec(d: &DockerFacts, pointer: &str, test: impl FnOnce(Option<&Value>) -> Verdict) -> Verdict {
    match d.swarm.as_deref() {
        None => Verdict::unknown("the swarm was not inspected"),
        Some(Err(why)) => Verdict::unknown(why.clone()),
        Some(Ok(swarm)) => test(swarm.pointer(pointer)),
    }
}

/// Whether a line of /proc/net/tcp or tcp6 (proc(5)) listens (state 0A) on port 2377 (0x0949) of the zero address.
fn listens_everywhere(table: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().unwrap_or("");
        let state = words.nth(1).unwrap_or("");
        state == "0A" && local.split_once(':').is_some_and(|(ip, port)| port == "0949" && ip.bytes().all(|b| b == b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_management_port_is_found_in_the_kernels_table() {
        let row = |local: &str, state: &str| format!("head\n   0: {local} 00000000:0000 {state} 0 0 0\n");
        assert!(listens_everywhere(&row("00000000:0949", "0A")));
        assert!(listens_everywhere(&row("00000000000000000000000000000000:0949", "0A")));
        assert!(!listens_everywhere(&row("0100007F:0949", "0A")));
        assert!(!listens_everywhere(&row("00000000:0949", "01")));
        assert!(!listens_everywhere(&row("00000000:0016", "0A")));
    }
}
