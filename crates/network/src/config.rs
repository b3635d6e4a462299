//! What a network is called and how a container may use it.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::Subnet;
use crate::error::NetworkError;

/// How a container is connected (`--network`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A namespace of its own with nothing but the loopback interface.
    None,
    /// The host's own namespace: no isolation at all.
    Host,
    /// A namespace of its own, connected to the bridge.
    #[default]
    Bridge,
}

impl FromStr for Mode {
    type Err = NetworkError;

    /// Reads `none`, `host`, `bridge`, and docker's other name for the last, `default`.
    fn from_str(text: &str) -> Result<Mode, NetworkError> {
        match text {
            "none" => Ok(Mode::None),
            "host" => Ok(Mode::Host),
            "bridge" | "default" => Ok(Mode::Bridge),
            _ => Err(NetworkError::UnknownMode { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::None => "none",
            Mode::Host => "host",
            Mode::Bridge => "bridge",
        })
    }
}

/// The names and the addresses of one network. [`NetworkConfig::default`] is the network that containers use
/// when nothing else is asked for; other values make an independent one beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Name of the network: letters, digits, `_`, `.`, `-`. Its state is kept under `<run>/network/<name>/`.
    pub name: String,
    /// Interface name of the bridge on the host, at most 15 bytes.
    pub bridge: String,
    /// Name of the nftables tables (one of family `inet`, one of family `bridge`).
    pub table: String,
    /// Start of the names of the host's ends of the veth pairs, at most 7 bytes: eight hex digits follow.
    /// No other interface of the host may start with it: the layer 2 guard holds for all that do.
    pub veth_prefix: String,
    /// The subnet; `None`: the one used before if it is still free, or the first of a list that collides with no route of the host.
    pub subnet: Option<Subnet>,
}

impl Default for NetworkConfig {
    fn default() -> NetworkConfig {
        NetworkConfig {
            name: "bridge".to_owned(),
            bridge: "stockade0".to_owned(),
            table: "stockade".to_owned(),
            veth_prefix: "skv".to_owned(),
            subnet: None,
        }
    }
}

/// The volatile directory of root's own instance, which has the plain names.
const DEFAULT_RUN_DIR: &str = "/run/stockade";

impl NetworkConfig {
    /// The same, with default names made distinct for another state directory.
    pub(crate) fn distinct_for(mut self, run_dir: &Path) -> NetworkConfig {
        let default = NetworkConfig::default();
        let run_dir = resolved(run_dir);
        if run_dir == Path::new(DEFAULT_RUN_DIR) {
            return self;
        }
        let ending = fnv1a(run_dir.as_os_str().as_bytes());
        if self.bridge == default.bridge {
            self.bridge = format!("sk-{ending:08x}");
        }
        if self.table == default.table {
            self.table = format!("stockade-{ending:08x}");
        }
        if self.veth_prefix == default.veth_prefix {
            self.veth_prefix = format!("k{:05x}v", ending & 0xf_ffff);
        }
        self
    }

    /// Refuses names that the kernel or the file system would not take as they are.
    pub(crate) fn check(&self) -> Result<(), NetworkError> {
        check_name("network", &self.name, 64)?;
        check_name("bridge interface", &self.bridge, 15)?;
        check_name("nftables table", &self.table, 64)?;
        check_name("veth prefix", &self.veth_prefix, 7)
    }
}

/// The path without symbolic links, as far as it exists: it must not change its name when it is created.
fn resolved(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            // Without the slash that joining nothing leaves at the end.
            return real.join(rest).components().collect();
        }
    }
    path.to_owned()
}

/// The 32-bit FNV-1a hash: the same path always gets the same ending.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Whether `text` can be a file name, an interface name and a table name: no `/`, no white space, no leading
/// dot or dash, at most `most` bytes.
pub(crate) fn check_name(what: &'static str, text: &str, most: usize) -> Result<(), NetworkError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let good = !text.is_empty() && text.len() <= most && text.bytes().all(plain) && !text.starts_with(['.', '-']);
    if good { Ok(()) } else { Err(NetworkError::BadName { what, text: text.to_owned(), most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_round_trip_and_unknown_ones_are_named() {
        for mode in [Mode::None, Mode::Host, Mode::Bridge] {
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
        }
        assert!("container:web".parse::<Mode>().unwrap_err().to_string().contains("container:web"));
    }

    #[test]
    fn other_state_directories_get_other_names() {
        let plain = NetworkConfig::default().distinct_for(Path::new("/run/stockade"));
        assert_eq!(plain, NetworkConfig::default());
        let one = NetworkConfig::default().distinct_for(Path::new("/nowhere/one"));
        let two = NetworkConfig::default().distinct_for(Path::new("/nowhere/two"));
        assert!(one.check().is_ok());
        for (a, b) in [(&one.bridge, &two.bridge), (&one.table, &two.table), (&one.veth_prefix, &two.veth_prefix)] {
            assert_ne!(a, b);
        }
        let named = NetworkConfig { bridge: "br7".to_owned(), ..NetworkConfig::default() };
        assert_eq!(named.distinct_for(Path::new("/nowhere/one")).bridge, "br7");
    }

    #[test]
    fn a_state_directory_keeps_its_name_when_it_comes_to_exist() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let run_dir = link.join("run").join("stockade");
        let before = NetworkConfig::default().distinct_for(&run_dir);
        std::fs::create_dir_all(&run_dir).unwrap();
        assert_eq!(NetworkConfig::default().distinct_for(&run_dir), before);
        assert_eq!(NetworkConfig::default().distinct_for(&dir.path().join("run/stockade/")), before);
    }

    #[test]
    fn names_that_would_leave_the_state_directory_are_refused() {
        assert!(NetworkConfig::default().check().is_ok());
        for bad in ["", "..", "a/b", "a b", ".hidden", "-x", "sixteen-bytes-xx"] {
            assert!(check_name("x", bad, 15).is_err(), "{bad}");
        }
    }
}
