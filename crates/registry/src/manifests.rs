//! Manifests at a registry: reading, following indexes, writing.

use ureq::http::Method;

use stockade_image::{Digest, Manifest, Platform, Reference};

use crate::client::Client;
use crate::document::{ACCEPT, Document, Entry, Fetched, MAX_MANIFEST_BYTES, check_image, parse_document};
use crate::error::{RegistryError, Result};
use crate::http::{Answer, Ask, Body};
use crate::places::Place;
use crate::platform;
use crate::progress::Progress;

/// How deep indexes may refer to indexes.
const MAX_INDEX_DEPTH: usize = 3;

impl Client {
    /// The document that a reference names, from its own registry (not from mirrors).
    ///
    /// Errors: `NotFound`, `Denied`, `Mismatch` if it has another digest than the reference tells, …
    pub fn manifest(&self, reference: &Reference, progress: &dyn Progress) -> Result<Fetched> {
        let place = Place::of(reference, &self.transport.options);
        self.fetch_manifest(&place, &wanted(reference), progress)
    }

    /// Any document of a repository, whole and verified: a configuration, a layer's table of contents.
    ///
    /// Errors: `TooLarge` if `entry` promises more than `limit` bytes.
    pub fn small_blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        size: u64,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>> {
        let place = Place::of(reference, &self.transport.options);
        self.fetch_blob(std::slice::from_ref(&place), digest, size, limit, progress)
    }

    pub(crate) fn fetch_manifest(&self, place: &Place, wanted: &str, progress: &dyn Progress) -> Result<Fetched> {
        let what = format!("the manifest of {}:{wanted}", place.repository).replace(":sha256:", "@sha256:");
        let mut ask = Ask::get(place, place.address(&format!("manifests/{wanted}")), what.clone(), progress);
        ask.headers.push(("accept", ACCEPT.to_owned()));
        let answer = self.transport.expect(&ask, &[200])?;
        let host = answer.address.origin.authority.clone();
        let content_type = answer.header("content-type").map(str::to_owned);
        let promised = header_digest(&answer);
        let bytes = answer.read(&ask, MAX_MANIFEST_BYTES)?;
        let digest = Digest::of(&bytes);
        for expected in promised.into_iter().chain(wanted.parse::<Digest>().ok()) {
            if expected != digest {
                return Err(RegistryError::mismatch(&host, what, &expected, &digest));
            }
        }
        let (media_type, document) = parse_document(&bytes, content_type.as_deref())
            .map_err(|refusal| refusal.of(format!("{what} at {host}")))?;
        Ok(Fetched { bytes, media_type, digest, document })
    }

    /// Follows an index to the manifest for `wanted`. `None` for a manifest that is not for a platform of an index.
    pub(crate) fn choose_image(
        &self,
        place: &Place,
        top: Fetched,
        wanted: &Platform,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<(Fetched, Manifest)> {
        let mut fetched = top;
        for _ in 0..=MAX_INDEX_DEPTH {
            let index = match &fetched.document {
                Document::Image(manifest) => {
                    check_image(manifest).map_err(|refusal| refusal.of(format!("`{name}`")))?;
                    let manifest = manifest.clone();
                    return Ok((fetched, manifest));
                }
                Document::Index(index) => index,
            };
            let entry = platform::choose(index, wanted).ok_or_else(|| RegistryError::NoPlatform {
                name: name.to_owned(),
                wanted: platform::shown(wanted),
                available: platform::available(index),
            })?;
            fetched = self.fetch_entry(place, entry, progress)?;
        }
        Err(RegistryError::Malformed {
            what: format!("`{name}`"),
            reason: "its indexes are nested too deeply".to_owned(),
        })
    }

    /// The document of an index's entry, which must be of the promised size.
    pub(crate) fn fetch_entry(&self, place: &Place, entry: &Entry, progress: &dyn Progress) -> Result<Fetched> {
        let fetched = self.fetch_manifest(place, &entry.digest.to_string(), progress)?;
        let size = fetched.bytes.len() as u64;
        if size != entry.size {
            return Err(RegistryError::Mismatch {
                host: place.origin.authority.clone(),
                what: format!("the size of the manifest {}", entry.digest.short()),
                expected: entry.size.to_string(),
                actual: size.to_string(),
            });
        }
        Ok(fetched)
    }

    /// Writes a document, under a tag or its own digest.
    pub(crate) fn put_manifest(
        &self,
        place: &Place,
        under: &str,
        media_type: &str,
        bytes: &[u8],
        progress: &dyn Progress,
    ) -> Result<Answer> {
        let ask = Ask {
            method: Method::PUT,
            place,
            address: place.address(&format!("manifests/{under}")),
            headers: vec![("content-type", media_type.to_owned())],
            body: Body::Bytes(bytes),
            scopes: vec![place.scope("pull,push")],
            what: format!("the manifest of {}:{under}", place.repository).replace(":sha256:", "@sha256:"),
            progress,
        };
        let answer = self.transport.expect(&ask, &[200, 201, 202])?;
        let digest = Digest::of(bytes);
        match header_digest(&answer) {
            Some(stored) if stored != digest => Err(RegistryError::mismatch(
                &place.origin.authority,
                format!("{} as stored", ask.what),
                &digest,
                &stored,
            )),
            _ => Ok(answer),
        }
    }

    /// The digest of what the name leads to now, without reading it. `None` if the registry does not have it, or does
    /// not tell.
    pub fn remote_digest(&self, reference: &Reference, progress: &dyn Progress) -> Result<Option<Digest>> {
        let place = &Place::of(reference, &self.transport.options);
        let wanted = wanted(reference);
        let what = format!("the manifest of {}:{wanted}", place.repository);
        let mut ask = Ask::get(place, place.address(&format!("manifests/{wanted}")), what, progress);
        ask.method = Method::HEAD;
        ask.headers.push(("accept", ACCEPT.to_owned()));
        match self.transport.expect(&ask, &[200]) {
            Ok(answer) => Ok(header_digest(&answer)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// What the registry says that the document's digest is; digests of other algorithms tell us nothing.
fn header_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}

/// What a manifest is asked for by: the digest, if the reference has one.
pub(crate) fn wanted(reference: &Reference) -> String {
    let named = reference.clone().or_latest();
    match (named.digest, named.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or_default(),
    }
}
