//! What a daemon is and has, gathered once for all checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::api::{Api, ApiError};
use super::unit;
use crate::content::Content;
use crate::host::Host;

/// Most containers and images that are looked at one by one.
const MAX_LISTED: usize = 10_000;

/// Whose containers and images they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Docker's.
    #[default]
    Docker,
    /// Podman's, over its docker-compatible API.
    Podman,
    /// Stockade's own.
    Stockade,
}

impl Kind {
    /// Put before names in a report: nothing for docker.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Docker => "",
            Kind::Podman => "podman: ",
            Kind::Stockade => "stockade: ",
        }
    }
}

/// Everything the checks want to know about one engine. A part that could not be read holds the reason.
#[derive(Debug, Default)]
pub struct DockerFacts {
    /// Whose they are.
    pub kind: Kind,
    /// `docker info`.
    pub info: Part,
    /// `docker version`.
    pub version: Part,
    /// `docker inspect` of all running containers.
    pub containers: Vec<Part>,
    /// Number of containers, stopped ones too.
    pub container_count: Option<u64>,
    /// `docker image inspect` of all images.
    pub images: Vec<Part>,
    /// `docker history` by image id.
    pub histories: BTreeMap<String, Value>,
    /// What is in the files of an image, by image id; only where they can be read.
    pub contents: BTreeMap<String, Result<Content, String>>,
    /// `docker network ls` with details.
    pub networks: Part,
    /// `docker swarm inspect`, where swarm is active.
    pub swarm: Option<Part>,
    /// Names of swarm secrets.
    pub secrets: Option<Part>,
    /// Command lines by container id.
    pub processes: BTreeMap<String, Result<Vec<String>, String>>,
    /// Namespaces that a container's first process shares with the host, as `/proc` shows it, by container id.
    pub host_namespaces: BTreeMap<String, BTreeSet<&'static str>>,
    /// `daemon.json`, where it exists.
    pub config: Config,
    /// Arguments of the running dockerd.
    pub arguments: Vec<String>,
    /// Whether the kernel has SELinux; `None` where nobody looked.
    pub selinux: Option<bool>,
    /// Now, in seconds since 1970; `None` makes ages unknown.
    pub now: Option<i64>,
}

/// One answer, or why there is none.
#[derive(Debug, Clone)]
pub struct Part(pub Result<Value, String>);

impl Default for Part {
    fn default() -> Self {
        Part(Err("no daemon was asked".to_owned()))
    }
}

impl std::ops::Deref for Part {
    type Target = Result<Value, String>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<Result<Value, ApiError>> for Part {
    fn from(answer: Result<Value, ApiError>) -> Part {
        Part(answer.map_err(|e| e.to_string()))
    }
}

impl From<Value> for Part {
    fn from(value: Value) -> Part {
        Part(Ok(value))
    }
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
    pub fn gather(api: &Api, host: &Host, kind: Kind) -> Result<DockerFacts, ApiError> {
        let first = ["/info", "/version", "/containers/json", "/images/json", "/networks"].map(str::to_owned);
        let mut answers = api.get_all(&first).into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Ok(Value::Null));
        let info = next()?;
        let version = Part::from(next());
        let running = listed(next(), "/containers/json");
        let stored = listed(next(), "/images/json");
        let networks = Part::from(next());
        let swarm_active = info.pointer("/Swarm/LocalNodeState").and_then(Value::as_str) == Some("active");
        let arguments = match kind {
            Kind::Docker => host.daemon_arguments("dockerd", api.socket()),
            _ => Vec::new(),
        };
        let mut facts = DockerFacts {
            kind,
            version,
            container_count: info.get("Containers").and_then(Value::as_u64),
            networks,
            config: match kind {
                Kind::Docker => Config::read(host, config_path(&arguments)),
                _ => Config::default(),
            },
            arguments,
            selinux: host.has_selinux(),
            now: Some(jiff::Timestamp::now().as_second()),
            info: Part(Ok(info)),
            ..DockerFacts::default()
        };
        facts.look_closer(api, &running, &stored, swarm_active);
        facts.list_processes(api, host);
        Ok(facts)
    }

    /// Inspects every container and image that was listed.
    fn look_closer(
        &mut self,
        api: &Api,
        running: &Result<Vec<String>, String>,
        stored: &Result<Vec<String>, String>,
        swarm: bool,
    ) {
        let ids = |list: &Result<Vec<String>, String>| list.clone().unwrap_or_default();
        let (containers, images) = (ids(running), ids(stored));
        let mut paths: Vec<String> = containers.iter().map(|id| format!("/containers/{}/json", safe(id))).collect();
        paths.extend(images.iter().map(|id| format!("/images/{}/json", safe(id))));
        paths.extend(images.iter().map(|id| format!("/images/{}/history", safe(id))));
        if swarm {
            paths.extend(["/swarm".to_owned(), "/secrets".to_owned()]);
        }
        let mut answers = api.get_all(&paths).into_iter();
        self.containers = answers.by_ref().take(containers.len()).map(Part::from).collect();
        self.images = answers.by_ref().take(images.len()).map(Part::from).collect();
        let histories = answers.by_ref().take(images.len());
        self.histories = images.iter().cloned().zip(histories).filter_map(|(id, h)| Some((id, h.ok()?))).collect();
        if swarm {
            self.swarm = answers.next().map(Part::from);
            self.secrets = answers.next().map(Part::from);
        }
        for (list, failed) in [(running, &mut self.containers), (stored, &mut self.images)] {
            if let Err(why) = list {
                failed.push(Part(Err(why.clone())));
            }
        }
    }

    /// What the host's `/proc` says about the containers: their programs, and the namespaces they share with the host.
    pub fn look_at_processes(&mut self, host: &Host) {
        let known = || self.containers.iter().filter_map(|c| Some((id_of(c.as_ref().ok()?)?, c.as_ref().ok()?)));
        let pid = |c: &Value| c.pointer("/State/Pid").and_then(Value::as_u64).unwrap_or(0);
        let ids: Vec<String> = known().map(|(id, _)| id).collect();
        let shared = known().map(|(id, c)| (id.clone(), host.host_namespaces(&id, pid(c)))).collect();
        self.processes = host.container_commands(&ids);
        self.host_namespaces = shared;
    }

    /// Which programs run in each container: from the host's process table where it shows them (one look for all), else
    /// from the daemon, which starts `ps` for each.
    fn list_processes(&mut self, api: &Api, host: &Host) {
        self.look_at_processes(host);
        let ids: Vec<String> = self.containers.iter().filter_map(|c| id_of(c.as_ref().ok()?)).collect();
        let mut seen = std::mem::take(&mut self.processes);
        let missing: Vec<String> = ids.into_iter().filter(|id| !seen.contains_key(id)).collect();
        let paths: Vec<String> = missing.iter().map(|id| format!("/containers/{}/top", safe(id))).collect();
        for (id, answer) in missing.into_iter().zip(api.get_all(&paths)) {
            seen.insert(id, answer.map(|top| commands(&top)).map_err(|e| e.to_string()));
        }
        self.processes = seen;
    }

    /// Facts from files alone: `--container-json`, `--image-json`, `--daemon-json`.
    pub fn offline(containers: Vec<Value>, images: Vec<Value>, config: Option<(PathBuf, Value)>) -> DockerFacts {
        DockerFacts {
            containers: containers.into_iter().map(Part::from).collect(),
            images: images.into_iter().map(Part::from).collect(),
            config: config.map(|(path, value)| Config { path, content: Some(Ok(value)) }).unwrap_or_default(),
            ..DockerFacts::default()
        }
    }

    /// What the files of a host that does not run say about its daemon.
    pub fn from_files(host: &Host) -> DockerFacts {
        let arguments = unit::arguments(host);
        let config = Config::read(host, config_path(&arguments));
        DockerFacts { config, arguments, ..DockerFacts::default() }
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

    /// All values of a flag that may be repeated. A flag of one letter has one dash and may be glued to its value.
    pub fn arguments_of(&self, flag: &str) -> Vec<String> {
        let (written, glued) = if flag.len() == 1 { (format!("-{flag}"), true) } else { (format!("--{flag}"), false) };
        let mut out = Vec::new();
        let mut arguments = self.arguments.iter().skip(1).peekable();
        while let Some(argument) = arguments.next() {
            let Some(value) = argument.strip_prefix(&written) else { continue };
            match value.strip_prefix('=') {
                Some(value) => out.push(value.to_owned()),
                None if value.is_empty() => match arguments.peek() {
                    Some(next) if !next.starts_with('-') => out.push((*next).clone()),
                    _ => out.push("true".to_owned()),
                },
                None if glued => out.push(value.to_owned()),
                None => {}
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

    /// `SecurityOptions` of `docker info`; `None` where it was not read.
    pub fn security_options(&self) -> Option<Vec<String>> {
        let info = self.info.as_ref().ok()?;
        let list = info.get("SecurityOptions").and_then(Value::as_array);
        Some(list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

impl Config {
    /// Reads and parses a daemon's configuration.
    pub fn read(host: &Host, path: PathBuf) -> Config {
        let content = match host.read(&path) {
            Ok(None) => None,
            Ok(Some(bytes)) if bytes.iter().all(u8::is_ascii_whitespace) => None,
            Ok(Some(bytes)) => Some(serde_json::from_slice(&bytes).map_err(|e| format!("not JSON: {e}"))),
            Err(why) => Some(Err(why)),
        };
        Config { path, content }
    }
}

/// Ids of a list, or why there is none.
fn listed(answer: Result<Value, ApiError>, path: &str) -> Result<Vec<String>, String> {
    let answer = answer.map_err(|e| e.to_string())?;
    let list = answer.as_array().ok_or_else(|| format!("GET {path}: the answer is no list"))?;
    Ok(list.iter().take(MAX_LISTED).filter_map(id_of).collect())
}

fn id_of(value: &Value) -> Option<String> {
    value.get("Id").and_then(Value::as_str).map(str::to_owned)
}

/// The command column of `docker top`.
fn commands(top: &Value) -> Vec<String> {
    let titles = top.get("Titles").and_then(Value::as_array);
    let column = titles.and_then(|t| t.iter().position(|t| matches!(t.as_str(), Some("CMD" | "COMMAND" | "ARGS"))));
    let rows = top.get("Processes").and_then(Value::as_array);
    rows.into_iter().flatten().filter_map(|row| row.get(column?).and_then(Value::as_str).map(str::to_owned)).collect()
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

    fn with_arguments(arguments: &[&str]) -> DockerFacts {
        let config = json!({"icc": true, "userland-proxy": false});
        let mut facts = DockerFacts::offline(vec![], vec![], Some((PathBuf::from("daemon.json"), config)));
        facts.arguments = arguments.iter().map(|s| (*s).to_owned()).collect();
        facts
    }

    #[test]
    fn settings_come_from_the_command_line_before_the_file() {
        let facts = with_arguments(&["dockerd", "--icc=false", "--label", "a", "--label", "b", "--live-restore"]);
        assert_eq!(facts.setting("icc", "icc"), Some((json!(false), "dockerd --icc".to_owned())));
        assert_eq!(
            facts.setting("userland-proxy", "userland-proxy"),
            Some((json!(false), "daemon.json: userland-proxy".to_owned()))
        );
        assert_eq!(facts.setting("label", "labels").unwrap().0, json!(["a", "b"]));
        assert_eq!(facts.setting("live-restore", "live-restore").unwrap().0, json!(true));
        assert_eq!(facts.setting("nothing", "nothing"), None);
    }

    #[test]
    fn short_flags_are_read_in_every_form() {
        let facts = with_arguments(&["dockerd", "-H", "unix:///a", "-H=tcp://b", "-Htcp://c", "-l", "debug", "-D"]);
        assert_eq!(facts.arguments_of("H"), ["unix:///a", "tcp://b", "tcp://c"]);
        assert_eq!(facts.arguments_of("l"), ["debug"]);
        assert_eq!(facts.arguments_of("D"), ["true"]);
        // `--icc` is not `--icc-something`, and `--H` is not `-H`.
        assert_eq!(with_arguments(&["dockerd", "--icc-else=false"]).arguments_of("icc"), Vec::<String>::new());
    }

    #[test]
    fn commands_are_found_by_their_column() {
        let top = json!({"Titles": ["UID", "PID", "CMD"], "Processes": [["root", "1", "sshd -D"], ["root"]]});
        assert_eq!(commands(&top), ["sshd -D"]);
        assert_eq!(commands(&json!([])), Vec::<String>::new());
    }
}
