//! Blobs to a registry (distribution-spec, "Pushing blobs").

use std::path::Path;

use ureq::http::Method;

use stockade_image::Digest;

use crate::address::Address;
use crate::client::Client;
use crate::error::{RegistryError, Result};
use crate::http::{Answer, Ask, Body};
use crate::places::Place;
use crate::progress::{BlobState, Progress};
use crate::retry;

/// Largest blob that goes in one request, in bytes; larger ones go in parts of this size, so that a cut costs a part.
/// Proxies that limit bodies do so at 100 MB or less.
const PART_BYTES: u64 = 32 << 20;
/// Largest part that a registry may demand (`OCI-Chunk-Min-Length`), in bytes.
const MAX_PART_BYTES: u64 = 1 << 30;

/// Where the bytes are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
    /// Nowhere here: the registry takes it from another of its repositories, or it fails as `Unsupported`.
    Elsewhere,
}

/// A blob to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub digest: Digest,
    pub size: u64,
    pub source: Source<'a>,
}

impl<'a> Outgoing<'a> {
    pub fn bytes(bytes: &'a [u8]) -> Outgoing<'a> {
        Outgoing { digest: Digest::of(bytes), size: bytes.len() as u64, source: Source::Bytes(bytes) }
    }
}

/// An upload that the registry has opened.
struct Session {
    location: Address,
    part_bytes: u64,
}

impl Client {
    /// Sends a blob, unless the repository has it, or the registry can take it from one of the repositories `from`.
    pub(crate) fn upload(
        &self,
        place: &Place,
        blob: &Outgoing<'_>,
        from: &[String],
        progress: &dyn Progress,
    ) -> Result<()> {
        if self.has_blob(place, blob, progress)? {
            progress.blob(&blob.digest, BlobState::Exists);
            return Ok(());
        }
        let mut pauses = self.transport.options.pauses.iter();
        let mut from = from.first();
        loop {
            let error = match self.try_upload(place, blob, from, progress) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // Who may not read the other repository can still send the bytes.
            if from.take().is_some() && matches!(error, RegistryError::Denied { .. } | RegistryError::NotFound { .. }) {
                continue;
            }
            let passing = match &error {
                RegistryError::Unreachable { .. } | RegistryError::RateLimited { .. } => true,
                // An upload that the registry has forgotten.
                RegistryError::NotFound { .. } => true,
                RegistryError::Status { status, .. } => retry::is_transient(*status) || *status == 416,
                _ => false,
            };
            let Some(pause) = pauses.next().filter(|_| passing) else { return Err(error) };
            progress.blob(&blob.digest, BlobState::Retrying(error.to_string()));
            retry::sleep(*pause, progress)?;
        }
    }

    fn has_blob(&self, place: &Place, blob: &Outgoing<'_>, progress: &dyn Progress) -> Result<bool> {
        let address = place.address(&format!("blobs/{}", blob.digest));
        let ask = self.push_ask(Method::HEAD, place, address, blob, progress);
        match self.transport.expect(&ask, &[200]) {
            Ok(_) => Ok(true),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn push_ask<'a>(
        &self,
        method: Method,
        place: &'a Place,
        address: Address,
        blob: &Outgoing<'_>,
        progress: &'a dyn Progress,
    ) -> Ask<'a> {
        Ask {
            method,
            place,
            address,
            headers: Vec::new(),
            body: Body::None,
            scopes: vec![place.scope("pull,push")],
            what: format!("blob {} of {}", blob.digest.short(), place.repository),
            progress,
        }
    }

    fn try_upload(
        &self,
        place: &Place,
        blob: &Outgoing<'_>,
        from: Option<&String>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let Some(mut session) = self.begin(place, blob, from, progress)? else {
            progress.blob(&blob.digest, BlobState::Mounted(from.cloned().unwrap_or_default()));
            return Ok(());
        };
        if matches!(blob.source, Source::Elsewhere) {
            let (what, reason) = (format!("blob {}", blob.digest.short()), "its bytes are not here".to_owned());
            return Err(RegistryError::Unsupported { what, reason });
        }
        let mut sent = 0;
        if blob.size > session.part_bytes {
            while sent < blob.size {
                sent = self.send_part(place, blob, &mut session, sent, progress)?;
            }
        }
        self.finish(place, blob, &session, sent, progress)?;
        progress.blob(&blob.digest, BlobState::Done);
        Ok(())
    }

    /// Opens an upload. `None`: the registry took the blob from the other repository, nothing is to be sent.
    fn begin(
        &self,
        place: &Place,
        blob: &Outgoing<'_>,
        from: Option<&String>,
        progress: &dyn Progress,
    ) -> Result<Option<Session>> {
        let mut address = place.address("blobs/uploads/");
        if let Some(from) = from {
            address = address.with_query(&[("mount", &blob.digest.to_string()), ("from", from)]);
        }
        let mut ask = self.push_ask(Method::POST, place, address, blob, progress);
        ask.scopes.extend(from.map(|from| format!("repository:{from}:pull")));
        ask.body = Body::Bytes(b"");
        let answer = self.transport.expect(&ask, &[201, 202])?;
        if answer.status == 201 && from.is_some() {
            return Ok(None);
        }
        let least = answer.header("oci-chunk-min-length").and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
        let location = next_location(&answer, &ask)?;
        Ok(Some(Session { location, part_bytes: PART_BYTES.max(least.min(MAX_PART_BYTES)) }))
    }

    /// Sends the part at `offset`; gives where the next one begins. If the connection is cut, the registry says how
    /// much it has.
    fn send_part(
        &self,
        place: &Place,
        blob: &Outgoing<'_>,
        session: &mut Session,
        offset: u64,
        progress: &dyn Progress,
    ) -> Result<u64> {
        let length = session.part_bytes.min(blob.size - offset);
        let mut ask = self.push_ask(Method::PATCH, place, session.location.clone(), blob, progress);
        ask.headers.push(("content-type", "application/octet-stream".to_owned()));
        ask.headers.push(("content-range", format!("{offset}-{}", offset + length - 1)));
        let sent = sent_counter(blob, offset, progress);
        ask.body = body(blob, offset, length, &sent);
        match self.transport.expect_once(&ask, &[202, 204]) {
            Ok(answer) => {
                session.location = next_location(&answer, &ask)?;
                Ok(offset + length)
            }
            Err(RegistryError::Unreachable { .. }) => {
                let mut ask = self.push_ask(Method::GET, place, session.location.clone(), blob, progress);
                ask.what.push_str(" so far");
                let answer = self.transport.expect(&ask, &[202, 204])?;
                let has = answer.header("range").and_then(received).unwrap_or(0);
                session.location = next_location(&answer, &ask)?;
                if has < offset || has > offset + length {
                    let (host, what) = (place.origin.authority.clone(), ask.what.clone());
                    let reason = format!("it says to have {has} bytes, and must have {offset} or more");
                    return Err(RegistryError::Protocol { host, what, reason });
                }
                Ok(has)
            }
            Err(e) => Err(e),
        }
    }

    /// Ends the upload, with the bytes if none have been sent.
    fn finish(
        &self,
        place: &Place,
        blob: &Outgoing<'_>,
        session: &Session,
        sent: u64,
        progress: &dyn Progress,
    ) -> Result<()> {
        let address = session.location.with_query(&[("digest", &blob.digest.to_string())]);
        let mut ask = self.push_ask(Method::PUT, place, address, blob, progress);
        ask.headers.push(("content-type", "application/octet-stream".to_owned()));
        let counter = sent_counter(blob, sent, progress);
        ask.body = body(blob, sent, blob.size - sent, &counter);
        self.transport.expect_once(&ask, &[201, 204]).map(drop)
    }
}

fn sent_counter<'a>(blob: &'a Outgoing<'_>, offset: u64, progress: &'a dyn Progress) -> impl Fn(u64) + Sync + use<'a> {
    let done = std::sync::atomic::AtomicU64::new(offset);
    let (digest, size) = (blob.digest, blob.size);
    move |bytes| {
        let before = done.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        progress.blob(&digest, BlobState::Transfer(before + bytes, size));
    }
}

fn body<'a>(blob: &Outgoing<'a>, offset: u64, length: u64, sent: &'a (dyn Fn(u64) + Sync)) -> Body<'a> {
    match blob.source {
        _ if length == 0 => Body::Bytes(b""),
        Source::Elsewhere => Body::None,
        Source::File(path) => Body::Part { path, offset, length, sent },
        Source::Bytes(bytes) => {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            Body::Bytes(bytes.get(start..end).unwrap_or_default())
        }
    }
}

/// Where the upload goes on.
fn next_location(answer: &Answer, ask: &Ask<'_>) -> Result<Address> {
    let host = || answer.address.origin.authority.clone();
    let location = answer.header("location").ok_or_else(|| RegistryError::Protocol {
        host: host(),
        what: ask.what.clone(),
        reason: "it does not tell where the upload goes on".to_owned(),
    })?;
    let refused = |reason| {
        let to = crate::error::printable(location.split('?').next().unwrap_or_default());
        RegistryError::Redirect { host: host(), to, reason }
    };
    let next = answer.address.join(location).map_err(refused)?;
    if answer.address.origin.https && !next.origin.https {
        return Err(refused(
            "it leads from TLS to plain HTTP; the registry may stand behind a proxy that does not tell it (X-Forwarded-Proto)",
        ));
    }
    Ok(next)
}

/// `0-99` → 100 bytes; registries write it with and without `bytes=`.
fn received(range: &str) -> Option<u64> {
    let range = range.trim().trim_start_matches("bytes=").trim_start_matches("bytes ");
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    // Nothing at all is written as `0-0` by some, which may be one byte too: sending it again does no harm.
    (first == 0).then_some(if last == 0 { 0 } else { last.checked_add(1)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_has_is_read() {
        assert_eq!(received("0-99"), Some(100));
        assert_eq!(received("bytes=0-99"), Some(100));
        assert_eq!(received("0-0"), Some(0));
        for bad in ["", "5-9", "x", "0-", "0-18446744073709551615"] {
            assert_eq!(received(bad), None, "{bad}");
        }
    }
}
