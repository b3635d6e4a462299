//! Confinement levels and network modes, as the user names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How tightly a container is confined (DESIGN §4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What docker does by default: no user namespace, 14 capabilities, docker's system call list.
    Compat,
    /// Own user id range, no capability beyond it, no new privileges, limits.
    #[default]
    Standard,
    /// Read-only root, no network, a short system call list, explicit limits.
    Strict,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Compat => "compat",
            Level::Standard => "standard",
            Level::Strict => "strict",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "compat" => Ok(Level::Compat),
            "standard" => Ok(Level::Standard),
            "strict" => Ok(Level::Strict),
            "learned" => {
                Err("level `learned` needs a profile, and this version cannot record one yet; use `strict`".into())
            }
            other => Err(format!("unknown level `{other}`; use `compat`, `standard` or `strict`")),
        }
    }
}

/// What a container or build step is connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetMode {
    /// Its own loopback only.
    None,
    /// The host's interfaces: no isolation.
    Host,
    /// The bridge, with address translation to the outside.
    #[default]
    Bridge,
    /// The network of another container, by its id.
    Container(String),
}

impl fmt::Display for NetMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetMode::None => f.write_str("none"),
            NetMode::Host => f.write_str("host"),
            NetMode::Bridge => f.write_str("bridge"),
            NetMode::Container(id) => write!(f, "container:{id}"),
        }
    }
}

impl FromStr for NetMode {
    type Err = String;

    /// Docker's `--network` values. The name after `container:` is not resolved here.
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "none" => Ok(NetMode::None),
            "host" => Ok(NetMode::Host),
            "bridge" | "default" | "" => Ok(NetMode::Bridge),
            other => match other.strip_prefix("container:") {
                Some("") => Err("`container:` needs a container's name or id".into()),
                Some(name) => Ok(NetMode::Container(name.to_owned())),
                None => Err(format!(
                    "unknown network `{other}`; use `none`, `host`, `bridge` or `container:NAME` (user-defined networks are not there yet)"
                )),
            },
        }
    }
}
