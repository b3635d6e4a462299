//! What a daemon is and has, gathered once for all checks.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::api::{Api, ApiError};
use crate::host::Host;

/// Everything the checks want to know about one daemon. A part that could not be read holds the reason.
#[derive(Debug)]
pub struct DockerFacts {
    /// `docker info`.
    pub info: Result<Value, String>,
    /// `docker version`.
    pub version: Result<Value, String>,
    /// `docker inspect` of all running containers.
    pub containers: Vec<Result<Value, String>>,
    /// Number of containers, stopped ones too.
    pub container_count: Option<u64>,
    /// `docker image inspect` of all images.
    pub images: Vec<Result<Value, String>>,
    /// `docker history` by image id.
    pub histories: std::collections::BTreeMap<String, Value>,
    /// `docker network ls` with details.
    pub networks: Result<Value, String>,
    /// `docker swarm inspect`, where swarm is active.
    pub swarm: Option<Result<Value, String>>,
    /// Names of swarm secrets.
    pub secrets: Option<Result<Value, String>>,
    /// Processes by container id: `docker top`.
    pub processes: std::collections::BTreeMap<String, Result<Value, String>>,
    /// `daemon.json`, where it exists.
    pub config: Config,
    /// Arguments of the running dockerd.
    pub arguments: Vec<String>,
}

/// A daemon's configuration file.
#[derive(Debug, Default)]
pub struct Config {
    /// Path as shown.
    pub path: PathBuf,
    /// Its content; `None` where there is no file.
    pub content: Option<Result<Value, String>>,
}

impl DockerFacts {
    /// Asks the daemon behind `api`. Fails only where it does not answer at all.
    pub fn gather(api: &Api, host: &Host) -> Result<DockerFacts, ApiError> {
        let info = api.get("/info")?;
        let text = |r: Result<Value, ApiError>| r.map_err(|e| e.to_string());
        let listed = |path: &str| api.get(path).ok().and_then(|v| v.as_array().cloned()).unwrap_or_default();
        let running = listed("/containers/json");
        let ids = |list: &[Value]| -> Vec<String> {
            list.iter().filter_map(|c| c.get("Id").and_then(Value::as_str)).map(str::to_owned).collect()
        };
        let container_ids = ids(&running);
        let containers =
            container_ids.iter().map(|id| text(api.get(&format!("/containers/{}/json", safe(id))))).collect();
        let processes = container_ids
            .iter()
            .map(|id| (id.clone(), text(api.get(&format!("/containers/{}/top", safe(id))))))
            .collect();
        let image_ids = ids(&listed("/images/json"));
        let images = image_ids.iter().map(|id| text(api.get(&format!("/images/{}/json", safe(id))))).collect();
        let histories = image_ids
            .iter()
            .filter_map(|id| Some((id.clone(), api.get(&format!("/images/{}/history", safe(id))).ok()?)))
            .collect();
        let swarm_active = info.pointer("/Swarm/LocalNodeState").and_then(Value::as_str) == Some("active");
        let arguments = host.daemon_arguments("dockerd", api.socket());
        Ok(DockerFacts {
            version: text(api.get("/version")),
            container_count: info.get("Containers").and_then(Value::as_u64),
            containers,
            images,
            histories,
            networks: text(api.get("/networks")),
            swarm: swarm_active.then(|| text(api.get("/swarm"))),
            secrets: swarm_active.then(|| text(api.get("/secrets"))),
            processes,
            config: Config::read(host, config_path(&arguments)),
            arguments,
            info: Ok(info),
        })
    }

    /// Facts from files alone: `--container-json`, `--image-json`, `--daemon-json`.
    pub fn offline(containers: Vec<Value>, images: Vec<Value>, config: Option<(PathBuf, Value)>) -> DockerFacts {
        let absent = || Err("no daemon was asked".to_owned());
        DockerFacts {
            info: absent(),
            version: absent(),
            containers: containers.into_iter().map(Ok).collect(),
            container_count: None,
            images: images.into_iter().map(Ok).collect(),
            histories: std::collections::BTreeMap::new(),
            networks: absent(),
            swarm: None,
            secrets: None,
            processes: std::collections::BTreeMap::new(),
            config: config.map(|(path, value)| Config { path, content: Some(Ok(value)) }).unwrap_or_default(),
            arguments: Vec::new(),
        }
    }

    /// A setting of the daemon: a `--flag` of its command line (given as `=value`, as the next argument or alone, which
    /// is `true`), else the key of `daemon.json`. The second value says where it was found.
    pub fn setting(&self, flag: &str, key: &str) -> Option<(Value, String)> {
        self.argument(flag).map(|v| (v, format!("dockerd --{flag}"))).or_else(|| {
            let content = self.config.content.as_ref()?.as_ref().ok()?;
            let value = content.get(key)?.clone();
            Some((value, format!("{}: {key}", self.config.path.display())))
        })
    }

    /// All values of a flag that may be repeated.
    pub fn arguments_of(&self, flag: &str) -> Vec<String> {
        let long = format!("--{flag}");
        let mut out = Vec::new();
        let mut arguments = self.arguments.iter().skip(1).peekable();
        while let Some(argument) = arguments.next() {
            if let Some(value) = argument.strip_prefix(&long) {
                if let Some(value) = value.strip_prefix('=') {
                    out.push(value.to_owned());
                } else if value.is_empty() {
                    match arguments.peek() {
                        Some(next) if !next.starts_with('-') => out.push((*next).clone()),
                        _ => out.push("true".to_owned()),
                    }
                }
            }
        }
        out
    }

    fn argument(&self, flag: &str) -> Option<Value> {
        let values = self.arguments_of(flag);
        let value = values.last()?;
        Some(match value.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ if values.len() > 1 => Value::from(values.clone()),
            _ => Value::String(value.clone()),
        })
    }

    /// Why nothing can be said about the daemon's configuration, if so.
    pub fn config_error(&self) -> Option<String> {
        match &self.config.content {
            Some(Err(why)) => Some(format!("{}: {why}", self.config.path.display())),
            _ => None,
        }
    }
}

impl Config {
    fn read(host: &Host, path: PathBuf) -> Config {
        let content = match host.read(&path) {
            Ok(None) => None,
            Ok(Some(bytes)) => Some(serde_json::from_slice(&bytes).map_err(|e| format!("not JSON: {e}"))),
            Err(why) => Some(Err(why)),
        };
        Config { path, content }
    }
}

fn config_path(arguments: &[String]) -> PathBuf {
    let mut it = arguments.iter();
    while let Some(a) = it.next() {
        if let Some(v) = a.strip_prefix("--config-file=") {
            return PathBuf::from(v);
        }
        if a == "--config-file"
            && let Some(v) = it.next()
        {
            return PathBuf::from(v);
        }
    }
    Path::new("/etc/docker/daemon.json").to_owned()
}

/// Ids come from the daemon: nothing but the characters that ids have may reach the request line.
fn safe(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || ":._-".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_come_from_the_command_line_before_the_file() {
        let config = json!({"icc": true, "userland-proxy": false});
        let mut facts = DockerFacts::offline(vec![], vec![], Some((PathBuf::from("daemon.json"), config)));
        facts.arguments =
            ["dockerd", "--icc=false", "--label", "a", "--label", "b", "--live-restore"].map(str::to_owned).to_vec();
        assert_eq!(facts.setting("icc", "icc"), Some((json!(false), "dockerd --icc".to_owned())));
        assert_eq!(
            facts.setting("userland-proxy", "userland-proxy"),
            Some((json!(false), "daemon.json: userland-proxy".to_owned()))
        );
        assert_eq!(facts.setting("label", "labels").unwrap().0, json!(["a", "b"]));
        assert_eq!(facts.setting("live-restore", "live-restore").unwrap().0, json!(true));
        assert_eq!(facts.setting("nothing", "nothing"), None);
    }
}
