//! Lists: the tags of a repository, the repositories of a registry, and what docker.io finds.

use std::collections::HashSet;

use serde::Deserialize;

use stockade_image::Reference;
use stockade_image::reference::DEFAULT_REGISTRY;

use crate::address::Address;
use crate::client::Client;
use crate::error::{RegistryError, Result};
use crate::http::{Answer, Ask};
use crate::places::Place;
use crate::progress::Progress;

/// Largest page of a list, in bytes.
const MAX_PAGE_BYTES: u64 = 8 << 20;
/// Most pages that are read: with a thousand names each, more than a person can use.
const MAX_PAGES: usize = 200;
/// Names that are asked for at once.
const PAGE: &str = "1000";
/// Where docker.io's search answers.
const DOCKER_HUB_SEARCH: &str = "https://index.docker.io/v1/search";

/// The tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList {
    /// In the registry's order.
    pub tags: Vec<String>,
    /// There are more than were read.
    pub cut: bool,
}

/// A repository that a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// The name to pull it by.
    pub name: String,
    /// What its owner says about it, one line.
    #[serde(default)]
    pub description: String,
    /// How many people marked it; only docker.io tells.
    #[serde(default, rename = "star_count")]
    pub stars: u64,
    /// Docker itself looks after it.
    #[serde(default, rename = "is_official")]
    pub official: bool,
}

#[derive(Deserialize)]
struct TagsPage {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct CatalogPage {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct HubPage {
    #[serde(default)]
    results: Vec<Found>,
}

impl Client {
    /// All tags of the reference's repository, from its own registry.
    pub fn tags(&self, reference: &Reference, progress: &dyn Progress) -> Result<TagList> {
        let place = Place::of(reference, &self.transport.options);
        let what = format!("the tags of {}", place.repository);
        let address = place.address("tags/list").with_query(&[("n", PAGE)]);
        let scopes = vec![place.scope("pull")];
        let mut tags = Vec::new();
        let cut = self.pages(&place, address, &scopes, &what, progress, |page: TagsPage| {
            tags.extend(page.tags.unwrap_or_default());
        })?;
        Ok(TagList { tags, cut })
    }

    /// Repositories whose name holds `term`. docker.io has a search of its own; other registries may let their
    /// catalog be read.
    ///
    /// Errors: `Unsupported` if the registry has neither.
    pub fn search(&self, host: &str, term: &str, limit: usize, progress: &dyn Progress) -> Result<Vec<Found>> {
        let place = Place::host(host, &self.transport.options);
        if place.name == DEFAULT_REGISTRY {
            let address = Address::parse(DOCKER_HUB_SEARCH).map_err(|reason| RegistryError::Setting {
                what: DOCKER_HUB_SEARCH.to_owned(),
                reason: reason.to_owned(),
            })?;
            return self.search_hub(&place, &address, term, limit, progress);
        }
        let address = Address::new(&place.origin, "/v2/_catalog").with_query(&[("n", PAGE)]);
        let scopes = vec!["registry:catalog:*".to_owned()];
        let term = term.to_ascii_lowercase();
        let mut found = Vec::new();
        let read = self.pages(&place, address, &scopes, "its catalog", progress, |page: CatalogPage| {
            let fitting = page.repositories.unwrap_or_default().into_iter().filter(|name| name.contains(&term));
            found.extend(fitting.map(|name| Found {
                name: format!("{}/{}", place.name, crate::error::printable(&name)),
                ..Found::default()
            }));
        });
        match read {
            Ok(_) => {}
            Err(e @ (RegistryError::NotFound { .. } | RegistryError::Status { status: 405 | 501, .. })) => {
                return Err(RegistryError::Unsupported {
                    what: format!("searching {}", place.name),
                    reason: format!("the registry lets nobody read its catalog, and has no other search ({e})"),
                });
            }
            Err(e) => return Err(e),
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(crate) fn search_hub(
        &self,
        place: &Place,
        address: &Address,
        term: &str,
        limit: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<Found>> {
        let address = address.with_query(&[("q", term), ("n", &limit.clamp(1, 100).to_string())]);
        let mut ask = Ask::get(place, address, "its search", progress);
        ask.headers.push(("accept", "application/json".to_owned()));
        let answer = self.transport.send_with(&ask, None)?;
        if answer.status != 200 {
            return Err(answer.into_error(&ask, None));
        }
        let host = answer.address.origin.authority.clone();
        let page: HubPage = parse(&host, &ask.what, &answer.read(&ask, MAX_PAGE_BYTES)?)?;
        let mut found = page.results;
        for one in &mut found {
            one.name = crate::error::printable(&one.name);
            one.description = crate::error::printable(&one.description);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Reads a list page by page (`Link: <…>; rel="next"`). `true` if there are more pages than are read.
    pub(crate) fn pages<P: serde::de::DeserializeOwned>(
        &self,
        place: &Place,
        first: Address,
        scopes: &[String],
        what: &str,
        progress: &dyn Progress,
        mut take: impl FnMut(P),
    ) -> Result<bool> {
        let mut next = Some(first);
        let mut seen = HashSet::new();
        for _ in 0..MAX_PAGES {
            let Some(address) = next.take() else { return Ok(false) };
            if !seen.insert(address.path.clone()) {
                let (host, reason) = (place.origin.authority.clone(), "its pages lead in a circle".to_owned());
                return Err(RegistryError::Protocol { host, what: what.to_owned(), reason });
            }
            let mut ask = Ask::get(place, address, what, progress);
            ask.scopes = scopes.to_vec();
            let answer = self.transport.expect(&ask, &[200])?;
            next = next_page(&answer)?;
            let host = answer.address.origin.authority.clone();
            take(parse(&host, what, &answer.read(&ask, MAX_PAGE_BYTES)?)?);
        }
        Ok(next.is_some())
    }
}

/// The next page, which must be at the same origin.
fn next_page(answer: &Answer) -> Result<Option<Address>> {
    let Some(target) = answer.header("link").and_then(next_link) else { return Ok(None) };
    let refused = |reason| {
        let to = crate::error::printable(target.split('?').next().unwrap_or_default());
        RegistryError::Redirect { host: answer.address.origin.authority.clone(), to, reason }
    };
    let next = answer.address.join(target).map_err(refused)?;
    if next.origin == answer.address.origin {
        return Ok(Some(next));
    }
    // Behind a proxy that ends TLS, registries write addresses of the inner side.
    if next.origin.authority == answer.address.origin.authority {
        return Ok(Some(Address::new(&answer.address.origin, next.path)));
    }
    Err(refused("the next page of a list must be at the same host"))
}

/// The target of `rel="next"` (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then_some(target)
    })
}

fn parse<T: serde::de::DeserializeOwned>(host: &str, what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| RegistryError::Protocol {
        host: host.to_owned(),
        what: what.to_owned(),
        reason: format!("its answer is not the JSON of a list: {}", crate::error::printable(&e.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(next_link(r#"</v2/_catalog?n=2&last=b>; rel="next""#), Some("/v2/_catalog?n=2&last=b"));
        assert_eq!(next_link(r#"<a>; rel="prev", <b>; title=x; rel=next"#), Some("b"));
        assert_eq!(next_link("nonsense"), None);
        assert_eq!(next_link("<unclosed"), None);
    }

    #[test]
    fn docker_ios_search_is_read() {
        let text = br#"{"num_pages":1,"num_results":2,"results":[
            {"name":"debian","description":"A Linux","star_count":5000,"is_official":true,"is_automated":false},
            {"name":"someone/debian"}]}"#;
        let page: HubPage = parse("h", "its search", text).unwrap();
        let first = &page.results[0];
        assert_eq!((first.name.as_str(), first.stars, first.official), ("debian", 5000, true));
        assert_eq!(page.results[1], Found { name: "someone/debian".to_owned(), ..Found::default() });
        assert!(parse::<HubPage>("h", "its search", b"<html>").err().unwrap().to_string().contains("not the JSON"));
    }
}
