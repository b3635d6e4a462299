//! `--filter` of `ps`, `events` and the prunes.

use jiff::Timestamp;
use stockade_engine::{Engine, Record, clock};

use crate::failure::Failure;

/// One `key=value`.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// Reads filters; `known` are the keys that the verb understands.
pub fn parse(texts: &[String], known: &[&str]) -> Result<Vec<Filter>, Failure> {
    texts
        .iter()
        .map(|text| {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!("--filter {text}: write KEY=VALUE, KEY being one of {}", known.join(", ")))
            })?;
            if !known.contains(&key) {
                return Err(Failure::usage(format!(
                    "--filter {text}: unknown key `{key}`; known are {}",
                    known.join(", ")
                )));
            }
            Ok(Filter { key: key.to_owned(), value: value.to_owned() })
        })
        .collect()
}

/// Docker's rule: values of one key are alternatives, different keys must all hold (labels are keys each of their own).
pub fn matches(filters: &[Filter], each: impl Fn(&Filter) -> bool) -> bool {
    filters.iter().all(|f| {
        if f.key == "label" {
            return each(f);
        }
        filters.iter().filter(|g| g.key == f.key).any(&each)
    })
}

/// Keys of `ps`.
pub const CONTAINER_KEYS: &[&str] = &[
    "id", "name", "label", "status", "exited", "ancestor", "before", "since", "volume", "network", "health", "publish",
    "expose",
];

/// What filters of containers need to know.
pub struct ContainerFilters {
    filters: Vec<Filter>,
    /// Creation times of the containers that `before` and `since` name.
    times: Vec<(String, Option<Timestamp>)>,
}

impl ContainerFilters {
    /// Reads filters and looks up the containers that they name.
    pub fn new(texts: &[String], engine: &Engine) -> Result<ContainerFilters, Failure> {
        let filters = parse(texts, CONTAINER_KEYS)?;
        let mut times = Vec::new();
        for filter in &filters {
            match filter.key.as_str() {
                "before" | "since" => {
                    let record = engine.find(&filter.value)?;
                    times.push((filter.value.clone(), clock::parse(&record.spec.created)));
                }
                "status" if !STATUSES.contains(&filter.value.as_str()) => {
                    return Err(Failure::usage(format!(
                        "--filter status={}: the states are {}",
                        filter.value,
                        STATUSES.join(", ")
                    )));
                }
                "exited" if filter.value.parse::<i32>().is_err() => {
                    return Err(Failure::usage(format!("--filter exited={}: write an exit code", filter.value)));
                }
                _ => {}
            }
        }
        Ok(ContainerFilters { filters, times })
    }

    /// Whether containers that do not run are asked for, `-a` or not.
    pub fn wants_all(&self) -> bool {
        self.filters.iter().any(|f| matches!(f.key.as_str(), "status" | "exited"))
    }

    /// Whether a container fits.
    pub fn fit(&self, record: &Record, engine: &Engine) -> bool {
        matches(&self.filters, |f| self.one(f, record, engine))
    }

    fn one(&self, filter: &Filter, record: &Record, engine: &Engine) -> bool {
        let spec = &record.spec;
        let value = filter.value.as_str();
        let created = clock::parse(&spec.created);
        let time = || self.times.iter().find(|(name, _)| name == value).and_then(|(_, t)| *t);
        let port_is = |text: &str, port: u16, protocol: &str| {
            let (range, wanted) = text.split_once('/').unwrap_or((text, "tcp"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let inside = |first: Result<u16, _>, last: Result<u16, _>| {
                let (Ok(first), Ok(last)): (
                    Result<u16, std::num::ParseIntError>,
                    Result<u16, std::num::ParseIntError>,
                ) = (first, last) else {
                    return false;
                };
                (first..=last).contains(&port)
            };
            wanted == protocol && inside(first.parse(), last.parse())
        };
        match filter.key.as_str() {
            "id" => spec.id.starts_with(value),
            "name" => record.name.contains(value.trim_start_matches('/')),
            "label" => match value.split_once('=') {
                Some((key, wanted)) => spec.labels.get(key).is_some_and(|v| v == wanted),
                None => spec.labels.contains_key(value),
            },
            "status" => record.state.status.name() == value,
            "exited" => {
                record.state.status == stockade_engine::Status::Exited && value.parse() == Ok(record.state.exit_code)
            }
            "ancestor" => {
                spec.image_name == value
                    || spec.image_name == format!("{value}:latest")
                    || spec.image == value
                    || spec.image.strip_prefix("sha256:").is_some_and(|id| value.len() >= 6 && id.starts_with(value))
            }
            "before" => created < time(),
            "since" => created > time(),
            "volume" => spec.host.mounts.iter().any(|m| m.source == value || m.target == value),
            "network" => spec.host.network.to_string() == value,
            "health" => match engine.health(record) {
                Some(health) => health.status == value,
                None => value == "none",
            },
            "publish" => spec.host.publish.iter().any(|p| port_is(value, p.container_port, &p.protocol.to_string())),
            "expose" => spec.exposed.iter().any(|text| {
                let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
                port.parse().is_ok_and(|port| port_is(value, port, protocol))
            }),
            _ => false,
        }
    }
}

const STATUSES: &[&str] = &["created", "running", "paused", "restarting", "exited", "removing", "dead"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_key_are_alternatives_and_keys_must_all_hold() {
        let list = |texts: &[&str]| {
            parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), &["a", "b", "label"]).unwrap()
        };
        let truth = |f: &Filter| f.value == "yes";
        assert!(matches(&list(&["a=no", "a=yes"]), truth));
        assert!(!matches(&list(&["a=yes", "b=no"]), truth));
        assert!(!matches(&list(&["label=yes", "label=no"]), truth));
        assert!(matches(&[], truth));
        assert!(parse(&["nope=1".into()], &["a"]).is_err() && parse(&["a".into()], &["a"]).is_err());
    }
}
