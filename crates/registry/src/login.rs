//! Logging in and out.

use stockade_image::reference::DEFAULT_REGISTRY;

use crate::address::Address;
use crate::client::Client;
use crate::dockerconfig::DockerConfig;
pub use crate::dockerconfig::StoredIn;
use crate::error::{RegistryError, Result};
use crate::http::Ask;
use crate::places::Place;
use crate::progress::Silent;
use crate::secret::Credential;

/// A login that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The host, as it was stored.
    pub host: String,
    /// Where the credentials are now.
    pub stored: StoredIn,
    /// `false`: the registry asked for no credentials, so that nobody knows whether they are right.
    pub verified: bool,
}

impl Client {
    /// Asks the registry whether it takes the credentials, and keeps them if so. `host` is a host with an optional
    /// port; an address (`https://host/v1/`) is taken too.
    ///
    /// Errors: `Denied` if it does not take them; nothing is stored then.
    pub fn login(&self, host: &str, credential: &Credential) -> Result<Login> {
        let host = host_name(host)?;
        if let Credential::Basic { username, password } = credential {
            let reason = match (username.as_str(), password.is_empty()) {
                ("", _) => Some("the user name is empty"),
                (_, true) => Some("the password is empty"),
                (name, _) if name.contains(':') => Some("a user name cannot hold `:`"),
                _ => None,
            };
            if let Some(reason) = reason {
                return Err(RegistryError::Credentials { what: host, reason: reason.to_owned() });
            }
        }
        let path = self.docker_config()?;
        let place = Place::host(&host, &self.transport.options);
        self.transport.proofs.set_credential(&place.name, credential.clone());
        let address = Address::new(&place.origin, "/v2/");
        let ask = Ask::get(&place, address, "its registry interface (v2)", &Silent);
        self.transport.expect(&ask, &[200])?;
        let verified = self.transport.proofs.any(&place.origin);
        let stored = DockerConfig::store(path, &place.name, credential, self.transport.options.helper_dir.as_deref())?;
        Ok(Login { host: place.name, stored, verified })
    }

    /// Forgets the credentials for a host. `false` if there were none.
    pub fn logout(&self, host: &str) -> Result<bool> {
        let place = Place::host(&host_name(host)?, &self.transport.options);
        DockerConfig::erase(self.docker_config()?, &place.name, self.transport.options.helper_dir.as_deref())
    }

    /// The stored credentials for a host, for a login that names only the user.
    pub fn stored_credential(&self, host: &str) -> Result<Option<Credential>> {
        let place = Place::host(&host_name(host)?, &self.transport.options);
        self.transport.proofs.credential(&place.name, &self.transport.options)
    }

    fn docker_config(&self) -> Result<&std::path::Path> {
        self.transport.options.docker_config.as_deref().ok_or_else(|| RegistryError::Credentials {
            what: "docker's config.json".to_owned(),
            reason: "neither DOCKER_CONFIG nor HOME is set, so there is no place for it".to_owned(),
        })
    }
}

/// The host of what a person names. Nothing means docker.io.
fn host_name(text: &str) -> Result<String> {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = bare.split('/').next().unwrap_or_default().to_ascii_lowercase();
    if host.is_empty() {
        return Ok(DEFAULT_REGISTRY.to_owned());
    }
    if matches!(host.as_str(), "index.docker.io" | "registry-1.docker.io" | DEFAULT_REGISTRY) {
        return Ok(DEFAULT_REGISTRY.to_owned());
    }
    let wrong = |reason: String| RegistryError::Setting {
        what: format!("the registry `{}`", crate::error::printable(text)),
        reason,
    };
    // The grammar of references knows what a host may be; `x.y` makes a lone name one.
    let probe =
        if host.contains(['.', ':']) || host == "localhost" { format!("{host}/x") } else { format!("{host}:443/x") };
    match probe.parse::<stockade_image::Reference>() {
        Ok(reference) if reference.registry.is_some() => Ok(host),
        Ok(_) => Err(wrong("write a host with an optional port".to_owned())),
        Err(e) => Err(wrong(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_from_addresses() {
        let host = |text: &str| host_name(text).unwrap();
        assert_eq!(host(""), "docker.io");
        assert_eq!(host("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(host("Reg.example:5000"), "reg.example:5000");
        assert_eq!(host("http://localhost:5000/v2/"), "localhost:5000");
        assert_eq!(host("intranet"), "intranet");
        for bad in ["a b", "user@host", "host:port", "-x.example"] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
    }
}
