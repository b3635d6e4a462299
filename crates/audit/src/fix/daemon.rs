//! Cures of the daemon's settings: members of `daemon.json`, and where the command line says otherwise, a systemd drop-in
//! that starts the daemon without the flag.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::json_edit;
use crate::docker::facts::DockerFacts;
use crate::docker::unit;
use crate::host::Host;

/// What a cure does to a setting.
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// The flag's name without dashes.
    pub(crate) flag: &'static str,
    pub(crate) cure: Cure,
}

pub(crate) enum Cure {
    Set(Value),
    Remove,
    /// Takes the elements of a list out that hold a text.
    Without(&'static str),
}

/// The cure of a check of the daemon.
pub(crate) fn setting(id: &str) -> Option<Setting> {
    let (key, flag, cure) = match id {
        "container-traffic-allowed" => ("icc", "icc", Cure::Set(json!(false))),
        "log-level-not-info" => ("log-level", "log-level", Cure::Set(json!("info"))),
        "iptables-off" => ("iptables", "iptables", Cure::Remove),
        "insecure-registries" => ("insecure-registries", "insecure-registry", Cure::Remove),
        "aufs-driver" => ("storage-driver", "storage-driver", Cure::Remove),
        "no-default-ulimits" => (
            "default-ulimits",
            "default-ulimit",
            Cure::Set(json!({"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 65536}})),
        ),
        "no-userns-remap" => ("userns-remap", "userns-remap", Cure::Set(json!("default"))),
        "cgroup-parent-set" => ("cgroup-parent", "cgroup-parent", Cure::Remove),
        "base-device-size" => ("storage-opts", "storage-opt", Cure::Without("dm.basesize")),
        "privileges-may-be-gained" => ("no-new-privileges", "no-new-privileges", Cure::Set(json!(true))),
        "no-live-restore" => ("live-restore", "live-restore", Cure::Set(json!(true))),
        "userland-proxy" => ("userland-proxy", "userland-proxy", Cure::Set(json!(false))),
        "daemon-seccomp-off" => ("seccomp-profile", "seccomp-profile", Cure::Remove),
        "experimental-daemon" => ("experimental", "experimental", Cure::Remove),
        _ => return None,
    };
    Some(Setting { key, flag, cure })
}

/// `daemon.json` with the setting cured.
pub(crate) fn cured(text: &str, setting: &Setting) -> Result<String, String> {
    match &setting.cure {
        Cure::Set(value) if setting.key == "log-level" => {
            // "debug": true wins over the level.
            json_edit::set(&json_edit::remove(text, "debug")?, setting.key, value)
        }
        Cure::Set(value) => json_edit::set(text, setting.key, value),
        Cure::Remove => json_edit::remove(text, setting.key),
        Cure::Without(word) => {
            let parsed: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
            let list = parsed.get(setting.key).and_then(Value::as_array).cloned().unwrap_or_default();
            let kept: Vec<Value> = list.into_iter().filter(|v| !v.as_str().is_some_and(|t| t.contains(word))).collect();
            if kept.is_empty() {
                json_edit::remove(text, setting.key)
            } else {
                json_edit::set(text, setting.key, &Value::Array(kept))
            }
        }
    }
}

/// Where our drop-in is.
pub(crate) const DROP_IN: &str = "/etc/systemd/system/docker.service.d/90-stockade.conf";

/// A drop-in that starts dockerd as the unit (or our drop-in) does, but without a flag. Source: systemd.unit(5),
/// systemd.service(5): an empty `ExecStart=` clears the list.
pub(crate) fn without_flag(host: &Host, current: Option<&str>, flag: &str) -> Result<String, String> {
    let command = match current.and_then(unit::exec_start) {
        Some(command) => command,
        None => unit::exec_start(
            &unit::text(host).ok_or("docker.service was not found: dockerd was not started by systemd")?,
        )
        .ok_or("docker.service has no ExecStart")?,
    };
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut kept = Vec::new();
    let mut found = false;
    let mut words = words.into_iter().peekable();
    let long = format!("--{flag}");
    let short = short_of(flag);
    while let Some(word) = words.next() {
        let bare = word == long || short == Some(word);
        if bare || word.starts_with(&format!("{long}=")) {
            found = true;
            if bare && words.peek().is_some_and(|w| !w.starts_with('-')) {
                words.next();
            }
        } else {
            kept.push(word);
        }
    }
    if !found {
        return Err(format!("dockerd runs with --{flag}, which docker.service does not give: change what starts it"));
    }
    Ok(format!("[Service]\nExecStart=\nExecStart={}\n", kept.join(" ")))
}

fn short_of(flag: &str) -> Option<&'static str> {
    match flag {
        "log-level" => Some("-l"),
        "debug" => Some("-D"),
        _ => None,
    }
}

/// Whether the command line sets what the cure wants otherwise.
pub(crate) fn set_by_flag(docker: Option<&DockerFacts>, setting: &Setting) -> bool {
    docker.is_some_and(|d| {
        !d.arguments_of(setting.flag).is_empty()
            || short_of(setting.flag).is_some_and(|s| !d.arguments_of(s.trim_start_matches('-')).is_empty())
    })
}

/// The daemon's configuration file.
pub(crate) fn config_path(docker: Option<&DockerFacts>) -> PathBuf {
    let path = docker.map(|d| d.config.path.clone()).filter(|p| !p.as_os_str().is_empty());
    path.unwrap_or_else(|| PathBuf::from("/etc/docker/daemon.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::daemon::CHECKS;
    use crate::model::Answer;

    #[test]
    fn what_a_cure_writes_passes_its_own_check() {
        let weak = r#"{ "icc": true, "log-level": "debug", "debug": true, "iptables": false, "insecure-registries": ["r"],
            "storage-driver": "aufs", "cgroup-parent": "/x", "storage-opts": ["dm.basesize=1G", "a=b"], "experimental": true,
            "userland-proxy": true, "live-restore": false }"#;
        for check in CHECKS {
            let Some(setting) = setting(check.meta.id) else { continue };
            if check.meta.id == "daemon-seccomp-off" || check.meta.id == "aufs-driver" {
                continue; // only the running daemon tells
            }
            let text = cured(weak, &setting).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            let facts = DockerFacts::offline(vec![], vec![], Some((PathBuf::from("d"), value)));
            assert_eq!((check.test)(&facts).answer, Answer::Pass, "{}: {text}", check.meta.id);
            assert_eq!(cured(&text, &setting).unwrap(), text, "{}: twice", check.meta.id);
        }
    }

    #[test]
    fn the_drop_in_keeps_all_other_words() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/lib/systemd/system")).unwrap();
        let unit = "[Service]\nExecStart=/usr/sbin/dockerd -H fd:// \\\n  --icc=true --log-level debug $DOCKER_OPTS\n";
        std::fs::write(dir.path().join("usr/lib/systemd/system/docker.service"), unit).unwrap();
        let host = Host::at(dir.path()).unwrap();
        let first = without_flag(&host, None, "icc").unwrap();
        assert_eq!(
            first,
            "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --log-level debug $DOCKER_OPTS\n"
        );
        let second = without_flag(&host, Some(&first), "log-level").unwrap();
        assert_eq!(second, "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\n");
        assert!(without_flag(&host, None, "iptables").is_err());
    }
}
