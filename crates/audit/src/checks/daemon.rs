//! Section 2 of the benchmark: how the daemon is configured.

use serde_json::Value;

use super::{DaemonCheck, shown};
use crate::docker::facts::DockerFacts;
use crate::model::Degree::{High, Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

meta_of!(Daemon, (level: u8, effort: Degree, risk: Degree), level: level, effort: effort, risk: risk);

macro_rules! check {
    ($id:literal, [$($r:literal),+], $level:literal, $effort:ident, $risk:ident, $title:literal, $why:literal, $fix:literal, $test:expr) => {
        DaemonCheck { meta: meta($id, &[$($r),+], $level, $effort, $risk, $title, $why, $fix), test: $test }
    };
}

/// All checks of this section.
#[rustfmt::skip]
pub(crate) static CHECKS: &[DaemonCheck] = &[
    check!("rootful-daemon", ["CIS-2.1"], 1, High, Medium, "The daemon runs without root where possible",
        "A hole in a root daemon is root on the host.",
        "Set docker up rootless: dockerd-rootless-setuptool.sh install.", |d| {
            let rootless = d.security_options().map(|o| o.iter().any(|s| s.contains("rootless")));
            match rootless {
                None => Verdict::unknown("docker info was not read"),
                Some(true) => Verdict::pass("SecurityOptions holds rootless"),
                Some(false) => Verdict::manual("SecurityOptions lacks rootless"),
            }
        }),
    check!("container-traffic-allowed", ["CIS-2.2"], 1, Low, Medium, "Containers on the default bridge cannot talk to each other",
        "One container that is taken over can attack its neighbours.",
        "Set \"icc\": false in daemon.json.", |d| wanted_bool(d, "icc", "icc", false, true)),
    check!("log-level-not-info", ["CIS-2.3"], 1, Low, Low, "The daemon logs at level info",
        "Less hides what happened, more fills the disk.",
        "Set \"log-level\": \"info\" or leave it out.", log_level),
    check!("iptables-off", ["CIS-2.4"], 1, Low, Medium, "The daemon may set packet filter rules",
        "Without them published ports and isolation between networks do not hold.",
        "Take \"iptables\": false out.", |d| wanted_bool(d, "iptables", "iptables", true, true)),
    check!("insecure-registries", ["CIS-2.5"], 1, Medium, Medium, "No registry is trusted without TLS",
        "Anyone on the way can swap the image.",
        "Give the registry a certificate and take it out of insecure-registries.", |d| {
            match configured(d, "insecure-registry", "insecure-registries") {
                Err(v) => v,
                Ok(None) => Verdict::pass("no insecure registry is set"),
                Ok(Some((v, at))) => Verdict::of(empty(&v), format!("{at}: {}", shown(Some(&v)))),
            }
        }),
    check!("aufs-driver", ["CIS-2.6"], 1, High, Medium, "The aufs driver is not used",
        "aufs is not in the kernel and not maintained.",
        "Use overlay2.", |d| match info(d, "Driver") {
            Some(v) => Verdict::of(v != "aufs", format!("info Driver: {}", shown(Some(v)))),
            None => match configured(d, "storage-driver", "storage-driver") {
                Err(v) => v,
                Ok(Some((v, at))) => Verdict::of(v != "aufs", format!("{at}: {}", shown(Some(&v)))),
                Ok(None) => Verdict::unknown("docker info was not read and storage-driver is not set"),
            },
        }),
    check!("tcp-without-tls", ["CIS-2.7"], 1, Medium, High, "A TCP socket demands client certificates",
        "Whoever reaches the port is root on the host.",
        "Set tlsverify with tlscacert, tlscert and tlskey, or do not listen on TCP.", tcp_tls),
    check!("no-default-ulimits", ["CIS-2.8"], 1, Low, Low, "Default ulimits are set",
        "Containers inherit limits that nobody chose.",
        "Set \"default-ulimits\" in daemon.json.", |d| match configured(d, "default-ulimit", "default-ulimits") {
            Err(v) => v,
            Ok(Some((v, at))) if !empty(&v) => Verdict::pass(format!("{at}: {}", shown(Some(&v)))),
            Ok(_) => Verdict::manual("default-ulimits is not set"),
        }),
    check!("no-userns-remap", ["CIS-2.9"], 2, Medium, High, "User namespaces are on",
        "Root in a container is root on the host if it gets out.",
        "Set \"userns-remap\": \"default\".", |d| {
            if d.security_options().is_some_and(|o| o.iter().any(|s| s.contains("name=userns"))) {
                return Verdict::pass("SecurityOptions holds userns");
            }
            non_empty(d, "userns-remap", "userns-remap")
        }),
    check!("cgroup-parent-set", ["CIS-2.10"], 2, Low, Low, "Containers are in docker's own cgroup",
        "Another parent may have no limits.",
        "Take \"cgroup-parent\" out.", |d| match configured(d, "cgroup-parent", "cgroup-parent") {
            Err(v) => v,
            Ok(None) => Verdict::pass("cgroup-parent is not set"),
            Ok(Some((v, at))) => Verdict::of(empty(&v), format!("{at}: {}", shown(Some(&v)))),
        }),
    check!("base-device-size", ["CIS-2.11"], 2, Low, Low, "The base device size is not changed",
        "A larger base lets one container fill the disk.",
        "Take dm.basesize out of storage-opts.", |d| match configured(d, "storage-opt", "storage-opts") {
            Err(v) => v,
            Ok(None) => Verdict::pass("storage-opts is not set"),
            Ok(Some((v, at))) => Verdict::of(!v.to_string().contains("dm.basesize"), format!("{at}: {}", shown(Some(&v)))),
        }),
    check!("no-authorization-plugin", ["CIS-2.12"], 2, High, Medium, "An authorization plugin decides who may do what",
        "Whoever reaches the socket may do everything.",
        "Set \"authorization-plugins\".", |d| non_empty(d, "authorization-plugin", "authorization-plugins")),
    check!("local-logs-only", ["CIS-2.13"], 2, Medium, Low, "Logs leave the host",
        "An intruder who is root deletes local logs.",
        "Set \"log-driver\" to one that sends, such as syslog or journald with forwarding.", |d| {
            let (v, at) = match info(d, "LoggingDriver") {
                Some(v) => (v.clone(), "info LoggingDriver".to_owned()),
                None => match configured(d, "log-driver", "log-driver") {
                    Err(v) => return v,
                    Ok(None) => (Value::from("json-file"), "log-driver is not set".to_owned()),
                    Ok(Some(s)) => s,
                },
            };
            Verdict::of(v != "json-file", format!("{at}: {}", shown(Some(&v))))
        }),
    check!("privileges-may-be-gained", ["CIS-2.14"], 1, Low, Medium, "no-new-privileges is the default",
        "A setuid program in any container could make its caller root.",
        "Set \"no-new-privileges\": true.", |d| wanted_bool(d, "no-new-privileges", "no-new-privileges", true, false)),
    check!("no-live-restore", ["CIS-2.15"], 1, Low, Low, "Containers outlive the daemon",
        "An update of the daemon stops everything.",
        "Set \"live-restore\": true.", |d| {
            if d.info.as_ref().ok().and_then(|i| i.pointer("/Swarm/LocalNodeState")).is_some_and(|s| s == "active") {
                return Verdict::pass("swarm is active, which live-restore does not go with");
            }
            match info(d, "LiveRestoreEnabled") {
                Some(v) => Verdict::of(v == &Value::Bool(true), format!("info LiveRestoreEnabled: {}", shown(Some(v)))),
                None => wanted_bool(d, "live-restore", "live-restore", true, false),
            }
        }),
    check!("userland-proxy", ["CIS-2.16"], 1, Low, Low, "The userland proxy is off",
        "It is one more process for each port, and hides the client's address.",
        "Set \"userland-proxy\": false.", |d| wanted_bool(d, "userland-proxy", "userland-proxy", false, true)),
    check!("daemon-seccomp-off", ["CIS-2.17"], 2, Low, Medium, "The daemon's seccomp profile is docker's or a chosen one",
        "Without it every system call of the kernel can be attacked from every container.",
        "Take \"seccomp-profile\" out, or name a reviewed file.", |d| match d.security_options() {
            None => Verdict::unknown("docker info was not read"),
            Some(o) => {
                let seccomp: Vec<String> = o.into_iter().filter(|s| s.contains("seccomp")).collect();
                if seccomp.iter().any(|s| s.contains("profile=default") || s.contains("profile=builtin")) {
                    Verdict::pass(format!("SecurityOptions: {}", seccomp.join(", ")))
                } else if seccomp.is_empty() || seccomp.iter().any(|s| s.contains("unconfined")) {
                    Verdict::fail(format!("SecurityOptions on seccomp: {}", if seccomp.is_empty() { "none".to_owned() } else { seccomp.join(", ") }))
                } else {
                    Verdict::manual(format!("SecurityOptions: {}", seccomp.join(", ")))
                }
            }
        }),
    check!("experimental-daemon", ["CIS-2.18"], 1, Low, Low, "Experimental features are off",
        "They are not finished, and nobody promises fixes.",
        "Take \"experimental\": true out.", |d| match d.version.as_ref().ok().and_then(|v| v.get("Experimental")) {
            Some(v) => Verdict::of(v != &Value::Bool(true), format!("version Experimental: {}", shown(Some(v)))),
            None => wanted_bool(d, "experimental", "experimental", false, false),
        }),
    check!("legacy-registry", ["C.2"], 1, Low, Low, "Version 1 registries are refused",
        "Their protocol does not verify what is pulled.",
        "Update docker: no engine since 17.12 speaks it.", |d| match d.version.as_ref().ok().and_then(|v| v.get("Version")).and_then(Value::as_str) {
            None => Verdict::unknown("docker version was not read"),
            Some(v) => {
                let major: u32 = v.split('.').next().and_then(|m| m.parse().ok()).unwrap_or(0);
                if major >= 18 { Verdict::pass(format!("version {v} does not know it")) } else { wanted_bool(d, "disable-legacy-registry", "disable-legacy-registry", true, true) }
            }
        }),
];

/// A setting, or the verdict that nothing can be said.
fn configured(d: &DockerFacts, flag: &str, key: &str) -> Result<Option<(Value, String)>, Verdict> {
    match d.setting(flag, key) {
        Some(found) => Ok(Some(found)),
        None => d.config_error().map_or(Ok(None), |why| Err(Verdict::unknown(why))),
    }
}

fn wanted_bool(d: &DockerFacts, flag: &str, key: &str, wanted: bool, default: bool) -> Verdict {
    match configured(d, flag, key) {
        Err(v) => v,
        Ok(None) => Verdict::of(default == wanted, format!("{key} is not set: {default}")),
        Ok(Some((v, at))) => Verdict::of(v == Value::Bool(wanted), format!("{at}: {}", shown(Some(&v)))),
    }
}

fn non_empty(d: &DockerFacts, flag: &str, key: &str) -> Verdict {
    match configured(d, flag, key) {
        Err(v) => v,
        Ok(None) => Verdict::fail(format!("{key} is not set")),
        Ok(Some((v, at))) => Verdict::of(!empty(&v), format!("{at}: {}", shown(Some(&v)))),
    }
}

fn empty(v: &Value) -> bool {
    match v {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    }
}

fn info<'d>(d: &'d DockerFacts, key: &str) -> Option<&'d Value> {
    d.info.as_ref().ok()?.get(key)
}

fn log_level(d: &DockerFacts) -> Verdict {
    let found = match configured(d, "log-level", "log-level") {
        Err(v) => return v,
        Ok(None) => d.arguments_of("l").last().map(|v| (Value::from(v.clone()), "dockerd -l".to_owned())),
        Ok(found) => found,
    };
    // `-D` and "debug": true win over the level.
    let debug = if d.arguments_of("D").is_empty() {
        d.setting("debug", "debug")
    } else {
        Some((Value::Bool(true), "dockerd -D".to_owned()))
    };
    if let Some((Value::Bool(true), at)) = debug {
        return Verdict::fail(format!("{at}: true: the level is debug"));
    }
    match found {
        None => Verdict::pass("log-level is not set: info"),
        Some((v, at)) => Verdict::of(v == "info", format!("{at}: {}", shown(Some(&v)))),
    }
}

fn tcp_tls(d: &DockerFacts) -> Verdict {
    if let Some(why) = d.config_error() {
        return Verdict::unknown(why);
    }
    let mut hosts: Vec<String> = ["H", "host"].iter().flat_map(|f| d.arguments_of(f)).collect();
    if let Some((v, _)) = d.setting("hosts", "hosts") {
        hosts.extend(v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    }
    // A bare address is TCP too: `-H :2375`.
    hosts.retain(|h| !h.starts_with("unix://") && !h.starts_with("fd://") && !h.starts_with("npipe://"));
    if hosts.is_empty() {
        return Verdict::not_applicable("the daemon does not listen on TCP");
    }
    let on = |key: &str| d.setting(key, key).is_some_and(|(v, _)| v == Value::Bool(true));
    let state = if on("tlsverify") {
        "tlsverify"
    } else if on("tls") {
        "tls without client certificates"
    } else {
        "no TLS"
    };
    Verdict::of(on("tlsverify"), format!("{}: {state}", hosts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;
    use serde_json::json;
    use std::path::PathBuf;

    fn answer(reference: &str, config: Value, arguments: &[&str]) -> Answer {
        let mut facts = DockerFacts::offline(vec![], vec![], Some((PathBuf::from("daemon.json"), config)));
        facts.arguments = arguments.iter().map(|s| (*s).to_owned()).collect();
        (CHECKS.iter().find(|c| c.meta.refs.contains(&reference)).unwrap().test)(&facts).answer
    }

    #[test]
    fn every_weak_setting_fails_and_its_cure_passes() {
        for (reference, bad, good) in [
            ("CIS-2.2", json!({}), json!({"icc": false})),
            ("CIS-2.3", json!({"log-level": "debug"}), json!({"log-level": "info"})),
            ("CIS-2.3", json!({"debug": true}), json!({"debug": false})),
            ("CIS-2.4", json!({"iptables": false}), json!({})),
            ("CIS-2.5", json!({"insecure-registries": ["r:5000"]}), json!({"insecure-registries": []})),
            ("CIS-2.6", json!({"storage-driver": "aufs"}), json!({"storage-driver": "overlay2"})),
            (
                "CIS-2.7",
                json!({"hosts": ["tcp://0.0.0.0:2375"]}),
                json!({"hosts": ["tcp://0.0.0.0:2376"], "tlsverify": true}),
            ),
            ("CIS-2.9", json!({}), json!({"userns-remap": "default"})),
            ("CIS-2.10", json!({"cgroup-parent": "/x"}), json!({})),
            ("CIS-2.11", json!({"storage-opts": ["dm.basesize=50G"]}), json!({"storage-opts": ["x=y"]})),
            ("CIS-2.12", json!({}), json!({"authorization-plugins": ["opa"]})),
            ("CIS-2.13", json!({}), json!({"log-driver": "syslog"})),
            ("CIS-2.14", json!({}), json!({"no-new-privileges": true})),
            ("CIS-2.15", json!({}), json!({"live-restore": true})),
            ("CIS-2.16", json!({}), json!({"userland-proxy": false})),
            ("CIS-2.18", json!({"experimental": true}), json!({})),
        ] {
            assert_eq!(answer(reference, bad, &[]), Answer::Fail, "{reference}");
            assert_eq!(answer(reference, good, &[]), Answer::Pass, "{reference}");
        }
    }

    #[test]
    fn flags_are_read_too() {
        assert_eq!(answer("CIS-2.7", json!({}), &["dockerd", "-H", "tcp://0.0.0.0:2375"]), Answer::Fail);
        assert_eq!(answer("CIS-2.7", json!({}), &["dockerd", "-H", "tcp://0.0.0.0:2375", "--tlsverify"]), Answer::Pass);
        assert_eq!(answer("CIS-2.7", json!({}), &["dockerd", "-H", "unix:///x"]), Answer::NotApplicable);
        assert_eq!(answer("CIS-2.7", json!({}), &["dockerd", "-H", ":2375"]), Answer::Fail);
        assert_eq!(answer("CIS-2.3", json!({}), &["dockerd", "--log-level=debug"]), Answer::Fail);
        assert_eq!(answer("CIS-2.3", json!({}), &["dockerd", "-l", "info"]), Answer::Pass);
        assert_eq!(answer("CIS-2.3", json!({}), &["dockerd", "-D"]), Answer::Fail);
    }

    #[test]
    fn an_unreadable_configuration_is_unknown() {
        let mut facts = DockerFacts::offline(vec![], vec![], None);
        facts.config.content = Some(Err("not JSON".to_owned()));
        let icc = CHECKS.iter().find(|c| c.meta.id == "container-traffic-allowed").unwrap();
        assert_eq!((icc.test)(&facts).answer, Answer::Unknown);
    }
}
