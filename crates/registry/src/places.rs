//! Where an image may be: its registry, the mirrors of that, and the registries that short names are looked up in.

use stockade_image::Reference;
use stockade_image::reference::DEFAULT_REGISTRY;

use crate::address::{Address, Origin};
use crate::error::{RegistryError, Result};
use crate::options::Options;

/// The host that serves docker.io's registry.
const DOCKER_HUB_REGISTRY: &str = "registry-1.docker.io";

/// A repository at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The host as people write it: `docker.io`. Credentials and certificates go by it.
    pub name: String,
    /// Where requests go.
    pub origin: Origin,
    /// Path of the repository there: `library/debian`. Empty for the host itself.
    pub repository: String,
}

impl Place {
    /// The host `name` without a repository.
    pub fn host(name: &str, options: &Options) -> Place {
        let name = name.to_ascii_lowercase();
        let name =
            if matches!(name.as_str(), "index.docker.io" | DOCKER_HUB_REGISTRY) { DEFAULT_REGISTRY } else { &name };
        let authority = if name == DEFAULT_REGISTRY { DOCKER_HUB_REGISTRY } else { name };
        let origin = Origin::new(!options.is_insecure(name), authority);
        Place { name: name.to_owned(), origin, repository: String::new() }
    }

    /// The place that a reference names, mirrors aside.
    pub fn of(reference: &Reference, options: &Options) -> Place {
        Place { repository: reference.path(), ..Place::host(reference.domain(), options) }
    }

    /// An address below the repository: `manifests/latest`.
    pub fn address(&self, below: &str) -> Address {
        Address::new(&self.origin, format!("/v2/{}/{below}", self.repository))
    }

    /// What a token must allow: `pull` or `pull,push`.
    pub fn scope(&self, actions: &str) -> String {
        format!("repository:{}:{actions}", self.repository)
    }
}

/// One registry that may have the image, and the places that serve it, in the order in which they are asked.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub places: Vec<Place>,
    /// The image's full name there, if it is not the one that was asked for: a short name was looked up.
    pub found_as: Option<Reference>,
}

/// Everything that may have the image, in order. A short name is looked up in the registries with `search = true`, and
/// then means docker.io.
pub(crate) fn candidates(reference: &Reference, options: &Options) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    if reference.registry.is_none() {
        for registry in options.registries.iter().filter(|r| r.search && r.host != DEFAULT_REGISTRY) {
            let named = Reference { registry: Some(registry.host.clone()), ..reference.clone() };
            found.push(Candidate { places: with_mirrors(&named, options)?, found_as: Some(named) });
        }
    }
    found.push(Candidate { places: with_mirrors(reference, options)?, found_as: None });
    Ok(found)
}

fn with_mirrors(reference: &Reference, options: &Options) -> Result<Vec<Place>> {
    let own = Place::of(reference, options);
    let mut places = Vec::new();
    for mirror in options.registry(&own.name).into_iter().flat_map(|r| &r.mirrors) {
        places.push(Place { repository: own.repository.clone(), ..mirror_host(mirror, options)? });
    }
    places.push(own);
    Ok(places)
}

/// A mirror is written as a host, or as an address of one.
fn mirror_host(mirror: &str, options: &Options) -> Result<Place> {
    let unusable =
        |reason: &str| RegistryError::Setting { what: format!("the mirror `{mirror}`"), reason: reason.to_owned() };
    let (scheme, rest) = mirror.split_once("://").map_or((None, mirror), |(s, rest)| (Some(s), rest));
    let host = rest.trim_end_matches('/');
    if host.is_empty() || host.contains('/') {
        return Err(unusable("write a host with an optional port, such as `mirror.example:5000`, without a path"));
    }
    let place = Place::host(host, options);
    match scheme {
        None | Some("https") if scheme.is_none() || place.origin.https => Ok(place),
        Some("http") if !place.origin.https => Ok(place),
        Some("http") => {
            Err(unusable("plain HTTP needs a [[registry]] of its own for this host, with `insecure = true`"))
        }
        Some("https") => Err(unusable("its [[registry]] says `insecure = true`, which is plain HTTP")),
        _ => Err(unusable("only http and https are spoken")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_config::Registry;

    fn registry(host: &str, mirrors: &[&str], insecure: bool, search: bool) -> Registry {
        let mirrors = mirrors.iter().map(|m| (*m).to_owned()).collect();
        Registry { host: host.to_owned(), mirrors, insecure, ca: None, search }
    }

    fn addresses(name: &str, options: &Options) -> Vec<Vec<String>> {
        let found = candidates(&name.parse().unwrap(), options).unwrap();
        found.iter().map(|c| c.places.iter().map(|p| p.address("tags/list").to_string()).collect()).collect()
    }

    #[test]
    fn docker_io_has_its_special_names() {
        let options = Options::bare();
        for name in ["debian", "docker.io/debian", "index.docker.io/library/debian"] {
            assert_eq!(
                addresses(name, &options),
                [["https://registry-1.docker.io/v2/library/debian/tags/list"]],
                "{name}"
            );
        }
        assert_eq!(Place::host("registry-1.docker.io", &options).name, "docker.io");
        assert_eq!(addresses("localhost:5000/a/b", &options), [["https://localhost:5000/v2/a/b/tags/list"]]);
    }

    #[test]
    fn mirrors_come_first_and_short_names_are_searched() {
        let options = Options {
            registries: vec![
                registry("docker.io", &["m1.example:5000", "https://m2.example/"], false, false),
                registry("m1.example:5000", &[], true, false),
                registry("own.example", &[], false, true),
            ],
            insecure: vec!["Plain.example".into()],
            ..Options::bare()
        };
        assert_eq!(
            addresses("debian", &options),
            [
                vec!["https://own.example/v2/debian/tags/list"],
                vec![
                    "http://m1.example:5000/v2/library/debian/tags/list",
                    "https://m2.example/v2/library/debian/tags/list",
                    "https://registry-1.docker.io/v2/library/debian/tags/list",
                ],
            ]
        );
        assert_eq!(addresses("plain.example/x", &options), [["http://plain.example/v2/x/tags/list"]]);
    }

    #[test]
    fn a_mirror_is_a_host_and_plain_http_is_said_at_its_registry() {
        for (mirror, part) in
            [("http://m.example", "insecure = true"), ("m.example/path", "without a path"), ("ftp://m", "only http")]
        {
            let options =
                Options { registries: vec![registry("docker.io", &[mirror], false, false)], ..Options::bare() };
            let error = candidates(&"debian".parse().unwrap(), &options).unwrap_err().to_string();
            assert!(error.contains(mirror) && error.contains(part), "{error}");
        }
    }
}
