//! Values of `docker inspect` that several checks of containers look at.

use serde_json::Value;

use super::shown;
use crate::docker::facts::{DockerFacts, Kind};
use crate::model::{Answer, Verdict};

/// What Stockade says of a control that it has on by itself, without an option: a key below `Stockade` in its `inspect`.
pub(super) fn stockade<'v>(c: &'v Value, key: &str) -> Option<&'v Value> {
    c.get("Stockade").and_then(|s| s.get(key)).filter(|v| !v.is_null())
}

/// Passes with Stockade's word where the control is on by itself, else asks on.
pub(super) fn unless_stockade(
    c: &Value,
    key: &str,
    on: impl FnOnce(&Value) -> bool,
    otherwise: impl FnOnce() -> Verdict,
) -> Verdict {
    match stockade(c, key) {
        Some(v) if on(v) => Verdict::pass(format!("Stockade.{key}: {}", shown(Some(v)))),
        _ => otherwise(),
    }
}

/// Whether a number is above 0.
pub(super) fn is_positive(v: &Value) -> bool {
    v.as_i64().is_some_and(|n| n > 0) || v.as_u64().is_some_and(|n| n > 0)
}

pub(super) fn host_config<'v>(c: &'v Value, key: &str) -> Option<&'v Value> {
    c.get("HostConfig").and_then(|h| h.get(key))
}

pub(super) fn options(c: &Value) -> Vec<String> {
    host_config(c, "SecurityOpt")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Added capabilities in upper case without `CAP_`.
pub(super) fn added(c: &Value) -> Vec<String> {
    let list = host_config(c, "CapAdd").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|n| {
            let upper = n.to_ascii_uppercase();
            upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
        })
        .collect()
}

pub(super) fn without(c: &Value, capability: &str) -> Verdict {
    let privileged = host_config(c, "Privileged") == Some(&Value::Bool(true));
    let has = privileged || added(c).iter().any(|n| n == capability || n == "ALL");
    Verdict::of(
        !has,
        format!(
            "HostConfig.CapAdd: {}{}",
            shown(host_config(c, "CapAdd")),
            if privileged { ", Privileged: true" } else { "" }
        ),
    )
}

pub(super) fn flag_off(c: &Value, key: &str) -> Verdict {
    let v = host_config(c, key);
    Verdict::of(v != Some(&Value::Bool(true)), format!("HostConfig.{key}: {}", shown(v)))
}

pub(super) fn mode_not_host(c: &Value, key: &str) -> Verdict {
    let v = host_config(c, key);
    Verdict::of(v.and_then(Value::as_str) != Some("host"), format!("HostConfig.{key}: {}", shown(v)))
}

/// The same, unless `/proc` shows that the container is in the host's namespace all the same: podman's API says
/// "shareable" of `--ipc host`.
pub(super) fn own_namespace(c: &Value, d: &DockerFacts, key: &str, kind: &str) -> Verdict {
    let shared = c.get("Id").and_then(Value::as_str).and_then(|id| d.host_namespaces.get(id));
    let said = mode_not_host(c, key);
    match said.answer {
        Answer::Pass if shared.is_some_and(|s| s.contains(kind)) => {
            let pid = shown(c.pointer("/State/Pid"));
            Verdict::fail(format!("{}, but /proc/{pid}/ns/{kind} is the host's", said.evidence))
        }
        _ => said,
    }
}

/// Passes if one of the numbers is above 0.
pub(super) fn positive(c: &Value, keys: &[&str]) -> Verdict {
    let good = keys.iter().any(|k| host_config(c, k).and_then(Value::as_i64).is_some_and(|n| n > 0));
    let evidence: Vec<String> = keys.iter().map(|k| format!("HostConfig.{k}: {}", shown(host_config(c, k)))).collect();
    Verdict::of(good, evidence.join(", "))
}

pub(super) fn is_empty(v: Option<&Value>) -> bool {
    v.is_none_or(|v| v.is_null() || v.as_array().is_some_and(Vec::is_empty))
}

pub(super) fn list_empty(what: &str, found: &[String]) -> Verdict {
    if found.is_empty() {
        Verdict::pass(format!("{what}: none"))
    } else {
        Verdict::fail(format!("{what}: {}", found.join(", ")))
    }
}

pub(super) fn mounts(c: &Value) -> impl Iterator<Item = &Value> {
    c.get("Mounts").and_then(Value::as_array).into_iter().flatten()
}

/// A path without a trailing slash, so that `/etc/` is `/etc`.
pub(super) fn normal(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

pub(super) struct PublishedPort {
    pub(super) ip: String,
    pub(super) port: u32,
    pub(super) shown: String,
}

pub(super) fn published(c: &Value) -> Vec<PublishedPort> {
    let ports = c.pointer("/NetworkSettings/Ports").and_then(Value::as_object);
    let mut out = Vec::new();
    for (inside, bindings) in ports.into_iter().flatten() {
        for b in bindings.as_array().into_iter().flatten() {
            let text = |k: &str| b.get(k).and_then(Value::as_str).unwrap_or("").to_owned();
            if let Ok(port) = text("HostPort").parse() {
                out.push(PublishedPort {
                    ip: text("HostIp"),
                    port,
                    shown: format!("{}:{port}->{inside}", text("HostIp")),
                });
            }
        }
    }
    out
}

/// Whether a command line is an SSH server's, also one that a shell runs as a script.
pub(super) fn is_sshd(command: &str) -> bool {
    let mut words = command.split_whitespace().map(|w| w.rsplit('/').next().unwrap_or(w));
    let program = words.next().unwrap_or("");
    let script = ["sh", "bash", "dash", "ash"].contains(&program) && words.next() == Some("sshd");
    command.starts_with("sshd:") || program == "sshd" || script
}

/// What can be said of past exec sessions: what runs now, and where earlier ones would be recorded.
pub(super) fn exec_log(c: &Value, d: &DockerFacts) -> Verdict {
    if d.kind == Kind::Stockade {
        return Verdict::manual("stockade events shows exec sessions");
    }
    let running = c.get("ExecIDs").and_then(Value::as_array).map_or(0, Vec::len);
    Verdict::manual(format!(
        "{running} exec sessions now; earlier ones are in the host's audit log (ausearch -k docker)"
    ))
}

/// Passes with Stockade's word where it set the limit by itself.
pub(super) fn unless_stockade_limit(c: &Value, key: &str, otherwise: impl FnOnce() -> Verdict) -> Verdict {
    match stockade(c, "Limits").and_then(|l| l.get(key)).filter(|v| is_positive(v)) {
        Some(v) => Verdict::pass(format!("Stockade.Limits.{key}: {v}")),
        None => otherwise(),
    }
}

/// Sockets of engines, by name.
const SOCKETS: [&str; 5] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock"];

/// Whether a mount from here lets the container talk to an engine: its socket, or a directory that holds it.
pub(crate) fn reaches_socket(source: &str) -> bool {
    let source = normal(source);
    names_socket(&source) || ["/run", "/var/run", "/run/containerd", "/run/podman"].contains(&source.as_str())
}

/// Whether a path has the name of an engine's socket. What is mounted *at* such a place is one, wherever it comes from.
pub(crate) fn names_socket(path: &str) -> bool {
    SOCKETS.contains(&path.rsplit('/').next().unwrap_or(""))
}
