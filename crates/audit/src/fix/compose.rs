//! Cures of Compose files, one check at a time.

use super::edit::{Edit, apply};
use super::yaml_edit::Yaml;
use crate::checks::containers::{DOCKER_DEFAULT_CAPABILITIES, names_socket, reaches_socket};
use crate::compose::{self, ports, volumes};
use crate::yaml::{Node, parse};

/// The file with one service's weakness removed. Errors say why a person must do it.
pub(crate) fn cure(text: &str, service: &str, id: &str) -> Result<String, String> {
    let documents = parse(text.as_bytes()).map_err(|e| e.to_string())?;
    let services = documents.iter().find_map(|d| d.get("services")).ok_or("no services")?;
    let (_, node) = services.entry(service).ok_or_else(|| format!("no service {service}"))?;
    if node.alias {
        return Err(format!("line {}: the service is an alias", node.line));
    }
    let edits = edits(&Yaml { text }, node, id)?;
    if edits.is_empty() {
        return Err("the setting is merged in from elsewhere".to_owned());
    }
    apply(text, edits)
}

/// Whether there is a cure.
pub(crate) fn is_known(id: &str) -> bool {
    compose::all().any(|m| m.id == id)
        && !matches!(
            id,
            "compose-root-user"
                | "compose-secret-in-environment"
                | "compose-moving-image-tag"
                | "compose-privileged-port"
                | "compose-sensitive-host-mount"
        )
}

fn edits(yaml: &Yaml<'_>, service: &Node, id: &str) -> Result<Vec<Edit>, String> {
    let remove = |key: &str| entry_removed(yaml, service, key);
    match id {
        "compose-privileged" => remove("privileged"),
        "compose-host-network" => remove("network_mode"),
        "compose-host-pid" => remove("pid"),
        "compose-host-ipc" => remove("ipc"),
        "compose-host-uts" => remove("uts"),
        "compose-host-userns" => remove("userns_mode"),
        "compose-devices" => remove("devices"),
        "compose-foreign-cgroup" => remove("cgroup_parent"),
        "compose-health-check-off" => remove("healthcheck"),
        "compose-docker-socket" => {
            let bad: Vec<usize> = volumes(service)
                .iter()
                .enumerate()
                .filter(|(_, v)| reaches_socket(&v.source) || names_socket(&v.target))
                .map(|(i, _)| i)
                .collect();
            items_removed(yaml, service, "volumes", &bad)
        }
        "compose-added-capabilities" => {
            let bad = indexes(service, "cap_add", |c| {
                let name = c.to_ascii_uppercase();
                !DOCKER_DEFAULT_CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
            });
            items_removed(yaml, service, "cap_add", &bad)
        }
        "compose-keeps-capabilities" => match service.entry("cap_drop") {
            Some((_, list)) => Ok(vec![yaml.add_item(list, "ALL")?]),
            None => Ok(vec![yaml.add_entry(service, "cap_drop", "[ALL]")?]),
        },
        "compose-may-gain-privileges" => match service.entry("security_opt") {
            Some((_, list)) => Ok(vec![yaml.add_item(list, "no-new-privileges:true")?]),
            None => Ok(vec![yaml.add_entry(service, "security_opt", "[\"no-new-privileges:true\"]")?]),
        },
        "compose-seccomp-off" => {
            let bad = indexes(service, "security_opt", |o| o == "seccomp:unconfined" || o == "seccomp=unconfined");
            items_removed(yaml, service, "security_opt", &bad)
        }
        "compose-apparmor-off" => {
            let bad = indexes(service, "security_opt", |o| o == "apparmor:unconfined" || o == "apparmor=unconfined");
            items_removed(yaml, service, "security_opt", &bad)
        }
        "compose-writable-root" => set(yaml, service, "read_only", "true"),
        "compose-no-memory-limit" => set(yaml, service, "mem_limit", "512m"),
        "compose-no-cpu-limit" => set(yaml, service, "cpus", "1.0"),
        "compose-no-pids-limit" => set(yaml, service, "pids_limit", "256"),
        "compose-unbounded-restarts" => set(yaml, service, "restart", "on-failure:5"),
        "compose-port-on-all-interfaces" => ports_bound(yaml, service),
        "compose-shared-propagation" => propagation(yaml, service),
        _ => Err("there is no mechanical cure".to_owned()),
    }
}

/// Sets a scalar entry.
pub(super) fn set(yaml: &Yaml<'_>, map: &Node, key: &str, value: &str) -> Result<Vec<Edit>, String> {
    Ok(vec![match map.entry(key) {
        Some((_, node)) => yaml.replace(node, value)?,
        None => yaml.add_entry(map, key, value)?,
    }])
}

/// Takes an entry out that the mapping has itself.
pub(super) fn entry_removed(yaml: &Yaml<'_>, map: &Node, key: &str) -> Result<Vec<Edit>, String> {
    Ok(match map.entry(key) {
        Some((i, _)) => vec![yaml.remove_entry(map, i)?],
        None => Vec::new(),
    })
}

/// Takes items out of a list; the list itself where none would be left.
pub(super) fn items_removed(yaml: &Yaml<'_>, map: &Node, key: &str, bad: &[usize]) -> Result<Vec<Edit>, String> {
    let Some((i, list)) = map.entry(key) else { return Ok(Vec::new()) };
    if list.list().len() == bad.len() {
        return Ok(vec![yaml.remove_entry(map, i)?]);
    }
    let mut edits = Vec::new();
    for i in bad {
        // The commas of neighbours in brackets would meet: those are done from the last one on, one a run.
        if list.flow && !edits.is_empty() {
            break;
        }
        edits.push(yaml.remove_item(list, *i)?);
    }
    Ok(edits)
}

/// Indexes of a list's texts that match.
pub(super) fn indexes(map: &Node, key: &str, bad: impl Fn(&str) -> bool) -> Vec<usize> {
    let list = map.get(key).map(Node::list).unwrap_or_default();
    list.iter().enumerate().filter(|(_, n)| n.text().is_some_and(&bad)).map(|(i, _)| i).collect()
}

/// `8080:80` becomes `127.0.0.1:8080:80`; the long form gets `host_ip`.
fn ports_bound(yaml: &Yaml<'_>, service: &Node) -> Result<Vec<Edit>, String> {
    let nodes = service.get("ports").map(Node::list).unwrap_or_default();
    let mut edits = Vec::new();
    for (node, port) in nodes.iter().zip(ports(service)) {
        if !["", "0.0.0.0", "::", "[::]"].contains(&port.ip.as_str()) {
            continue;
        }
        match node.text() {
            Some(text) => {
                let bare = ["0.0.0.0:", "[::]:"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
                let colon = if bare.contains(':') { "" } else { ":" };
                edits.push(yaml.replace(node, &format!("\"127.0.0.1:{colon}{bare}\""))?);
            }
            None => edits.extend(set(yaml, node, "host_ip", "127.0.0.1")?),
        }
    }
    Ok(edits)
}

fn propagation(yaml: &Yaml<'_>, service: &Node) -> Result<Vec<Edit>, String> {
    let nodes = service.get("volumes").map(Node::list).unwrap_or_default();
    let mut edits = Vec::new();
    for (node, volume) in nodes.iter().zip(volumes(service)) {
        if !["shared", "rshared"].contains(&volume.propagation.as_str()) {
            continue;
        }
        match node.text() {
            Some(text) => {
                let private: Vec<&str> = text.split(',').collect();
                let joined = private.join(",");
                let fixed = joined.replace("rshared", "rprivate").replace("shared", "rprivate");
                edits.push(yaml.replace(node, &format!("\"{fixed}\""))?);
            }
            None => {
                let bind = node.get("bind").ok_or("no bind options")?;
                edits.extend(set(yaml, bind, "propagation", "rprivate")?);
            }
        }
    }
    Ok(edits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;

    const WEAK: &str = "# a stack\nservices:\n  web: # front\n    image: nginx:1.27 # pinned\n    privileged: true\n    network_mode: host\n    pid: host\n    ipc: host\n    uts: host\n    userns_mode: host\n    volumes:\n      - /run/docker.sock:/x:ro # dangerous\n      - ./a:/b:rshared\n    cap_add: [NET_ADMIN, CHOWN, SYS_ADMIN]\n    security_opt:\n      - seccomp:unconfined\n      - apparmor=unconfined\n    ports:\n      - \"8080:80\" # web\n      - 9090\n      - target: 81\n        published: \"8081\"\n    devices: [/dev/sda]\n    healthcheck: {disable: true}\n    restart: on-failure:9\n    cgroup_parent: /x\n  # the data\n  db:\n    image: postgres:16\n";

    fn failing(text: &str, service: &str) -> Vec<&'static str> {
        let results = compose::check("f", text.as_bytes()).unwrap();
        let mine = results.iter().filter(|r| r.subject == format!("f: {service}") && r.result == Answer::Fail);
        mine.map(|r| r.meta.id).collect()
    }

    /// Cures until nothing changes; each cure must make its own check pass.
    fn cured(text: &str, service: &str) -> String {
        let mut text = text.to_owned();
        for id in failing(&text, service) {
            if !is_known(id) {
                continue;
            }
            for _ in 0..10 {
                if !failing(&text, service).contains(&id) {
                    break;
                }
                text = cure(&text, service, id).unwrap_or_else(|e| panic!("{id}: {e}\n{text}"));
            }
            assert!(!failing(&text, service).contains(&id), "{id} still fails:\n{text}");
        }
        text
    }

    #[test]
    fn every_cure_cures_its_check_and_keeps_the_rest() {
        let new = cured(WEAK, "web");
        assert_eq!(failing(&new, "web"), ["compose-root-user"], "{new}");
        for kept in [
            "# a stack\n",
            "  web: # front\n",
            "    image: nginx:1.27 # pinned\n",
            "  # the data\n  db:\n    image: postgres:16\n",
        ] {
            assert!(new.contains(kept), "{kept:?} is lost:\n{new}");
        }
        assert!(new.contains("cap_add: [CHOWN]") && new.contains("\"127.0.0.1:8080:80\" # web"), "{new}");
        assert_eq!(cured(&new, "web"), new, "a second run changes nothing");
    }

    #[test]
    fn files_of_every_style_are_cured() {
        for text in [
            "services: {web: {image: \"a:1\", privileged: true, cap_add: [ALL]}}\n",
            "services:\n    web:\n        image: a:1\n        pid: host",
            "services:\r\n  web:\r\n    image: a:1\r\n    pid: host\r\n",
            "x-common: &c\n  restart: always\nservices:\n  web:\n    <<: *c\n    image: a:1\n    cap_add:\n    - NET_ADMIN\n",
        ] {
            let new = cured(text, "web");
            assert_eq!(failing(&new, "web"), ["compose-root-user"], "{new}");
            assert_eq!(new.contains("\r\n"), text.contains("\r\n"));
        }
    }

    #[test]
    fn what_an_anchor_shares_is_left_to_a_person() {
        let text = "x: &c {privileged: true}\nservices:\n  web:\n    <<: *c\n";
        assert!(cure(text, "web", "compose-privileged").unwrap_err().contains("merged"));
        let text = "x: &c {privileged: true}\nservices:\n  web: *c\n";
        assert!(cure(text, "web", "compose-privileged").unwrap_err().contains("alias"));
    }
}
