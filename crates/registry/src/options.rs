//! What a client goes by: settings, environment, flags.

use std::path::PathBuf;
use std::time::Duration;

use stockade_config::{Environment, Registry, Settings};

use crate::proxy::Proxies;

/// Where docker keeps certificates, one directory for each registry host.
const CERTIFICATES: &str = "/etc/docker/certs.d";
/// Transfers of blobs at the same time: what docker does, and enough to fill a line while others unpack.
const PARALLEL: usize = 3;
/// Pauses between tries of one request.
const PAUSES_MS: [u64; 4] = [250, 1000, 3000, 8000];

/// What a client goes by. Nothing in it is read from the process again.
#[derive(Debug, Clone)]
pub struct Options {
    /// `[[registry]]` of the settings.
    pub registries: Vec<Registry>,
    /// Hosts that plain HTTP is allowed for, besides those of the settings.
    pub insecure: Vec<String>,
    /// Directory of certificates, `HOST[:PORT]/*.crt` and client pairs `*.cert`, `*.key`.
    pub certificates: Option<PathBuf>,
    /// Docker's `config.json`; `None` means no credentials.
    pub docker_config: Option<PathBuf>,
    /// Directory of the `docker-credential-*` programs; `None` finds them on the `PATH`.
    pub helper_dir: Option<PathBuf>,
    /// Proxies.
    pub proxies: Proxies,
    /// Pauses between tries of one request; their number is the number of second tries.
    pub pauses: Vec<Duration>,
    /// Blobs that are transferred at the same time; at least 1.
    pub parallel: usize,
}

impl Options {
    /// From settings and environment: `DOCKER_CONFIG` or `HOME` for credentials, and the proxy variables.
    pub fn new(settings: &Settings, environment: &dyn Environment) -> Options {
        Options {
            registries: settings.registries.clone(),
            certificates: Some(PathBuf::from(CERTIFICATES)),
            docker_config: docker_config(environment),
            proxies: Proxies::from_environment(environment),
            ..Options::bare()
        }
    }

    /// Nothing set: no credentials, no proxies, no certificates but the system's.
    pub fn bare() -> Options {
        Options {
            registries: Vec::new(),
            insecure: Vec::new(),
            certificates: None,
            docker_config: None,
            helper_dir: None,
            proxies: Proxies::default(),
            pauses: PAUSES_MS.map(Duration::from_millis).to_vec(),
            parallel: PARALLEL,
        }
    }

    /// What the settings say about a host, as references and mirrors write it.
    pub(crate) fn registry(&self, host: &str) -> Option<&Registry> {
        self.registries.iter().find(|r| r.host.eq_ignore_ascii_case(host))
    }

    /// Whether plain HTTP is allowed for the host.
    pub(crate) fn is_insecure(&self, host: &str) -> bool {
        self.insecure.iter().any(|h| h.eq_ignore_ascii_case(host)) || self.registry(host).is_some_and(|r| r.insecure)
    }
}

/// Where docker's credentials are.
fn docker_config(environment: &dyn Environment) -> Option<PathBuf> {
    let dir = match environment.get("DOCKER_CONFIG") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(environment.get("HOME")?).join(".docker"),
    };
    Some(dir.join("config.json"))
}
