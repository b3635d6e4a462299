//! Blobs from a registry, read to the promised size and no further, over as many connections as it takes.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use stockade_image::Digest;

use crate::client::Client;
use crate::error::{RegistryError, Result};
use crate::http::{Answer, Ask, io_words, lock};
use crate::places::Place;
use crate::progress::{BlobState, Progress};
use crate::retry;

/// Bytes that must come before the count of failed tries begins anew.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Where the error of a reader is found after whoever read has made its own of it.
pub(crate) type ErrorSlot = Arc<Mutex<Option<RegistryError>>>;

/// The bytes of a blob from `position` on. A connection that is cut is opened again at the place where it ended, at
/// the same host or the next one that has the blob. The digest is for the caller to verify.
pub(crate) struct BlobReader<'c> {
    client: &'c Client,
    places: &'c [Place],
    digest: Digest,
    size: u64,
    position: u64,
    body: Option<ureq::BodyReader<'static>>,
    /// Index of the place that is being read.
    place: usize,
    failures: usize,
    since_failure: u64,
    error: ErrorSlot,
    progress: &'c dyn Progress,
}

impl<'c> BlobReader<'c> {
    pub fn new(
        client: &'c Client,
        places: &'c [Place],
        digest: Digest,
        size: u64,
        position: u64,
        progress: &'c dyn Progress,
    ) -> BlobReader<'c> {
        let error = ErrorSlot::default();
        let (body, place, failures, since_failure) = (None, 0, 0, 0);
        BlobReader { client, places, digest, size, position, body, place, failures, since_failure, error, progress }
    }

    /// Where the error will be.
    pub fn error_slot(&self) -> ErrorSlot {
        Arc::clone(&self.error)
    }

    fn what(&self) -> String {
        format!("blob {}", self.digest.short())
    }

    fn host(&self) -> String {
        self.places.get(self.place).map(|p| p.origin.authority.clone()).unwrap_or_default()
    }

    /// Opens the blob at the position, at the first place that has it.
    fn open(&mut self) -> Result<()> {
        loop {
            let Some(place) = self.places.get(self.place) else {
                return Err(RegistryError::Unreachable {
                    host: "any mirror".to_owned(),
                    cause: "none is left".to_owned(),
                });
            };
            match self.open_at(place) {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(e) if e.is_of_place() && self.place + 1 < self.places.len() => self.next_place(&e),
                Err(e) => return Err(e),
            }
        }
    }

    fn next_place(&mut self, why: &RegistryError) {
        self.progress.blob(&self.digest, BlobState::Retrying(why.to_string()));
        self.place += 1;
        self.failures = 0;
    }

    fn open_at(&self, place: &Place) -> Result<ureq::BodyReader<'static>> {
        let address = place.address(&format!("blobs/{}", self.digest));
        let mut ask = Ask::get(place, address, self.what(), self.progress);
        if self.position > 0 {
            ask.headers.push(("range", format!("bytes={}-", self.position)));
        }
        let answer = self.client.transport.expect(&ask, &[200, 206])?;
        let begins = self.first_byte(&answer)?;
        let mut body = answer.into_reader();
        // A server that knows no ranges sends everything: what we have is passed over.
        let skipped = io::copy(&mut body.by_ref().take(self.position - begins), &mut io::sink());
        match skipped {
            Ok(bytes) if bytes == self.position - begins => Ok(body),
            Ok(_) => Err(self.cut("the connection ends early".to_owned())),
            Err(e) => Err(self.cut(io_words(&e))),
        }
    }

    /// Where the answer's body begins: at our position, or at 0. Sizes that contradict the promise are refused before
    /// a byte is read.
    fn first_byte(&self, answer: &Answer) -> Result<u64> {
        let wrong = |reason: String| {
            let host = answer.address.origin.authority.clone();
            RegistryError::Protocol { host, what: self.what(), reason }
        };
        if answer.status == 206 {
            let text = answer.header("content-range").unwrap_or_default();
            let (first, total) =
                content_range(text).ok_or_else(|| wrong("it sends a part without telling which".to_owned()))?;
            if first != self.position || total.is_some_and(|t| t != self.size) {
                let asked = format!(
                    "asked for bytes from {} of {}, it sends `{}`",
                    self.position,
                    self.size,
                    crate::error::printable(text)
                );
                return Err(wrong(asked));
            }
            return Ok(first);
        }
        let length = answer.header("content-length").and_then(|l| l.parse::<u64>().ok());
        match length {
            Some(length) if length != self.size => Err(RegistryError::Mismatch {
                host: answer.address.origin.authority.clone(),
                what: format!("the size of {}", self.what()),
                expected: self.size.to_string(),
                actual: length.to_string(),
            }),
            _ => Ok(0),
        }
    }

    fn cut(&self, cause: String) -> RegistryError {
        let (host, what) = (self.host(), self.what());
        RegistryError::CutOff { host, what, got: self.position, size: self.size, cause }
    }

    /// After a cut: the next try at the same place, or the next place, or the end.
    fn recover(&mut self, cause: String) -> Result<()> {
        self.body = None;
        let error = self.cut(cause);
        if self.since_failure >= PROGRESS_BYTES {
            self.failures = 0;
        }
        self.since_failure = 0;
        let pauses = &self.client.transport.options.pauses;
        match pauses.get(self.failures) {
            Some(planned) => {
                self.failures += 1;
                self.progress.blob(&self.digest, BlobState::Retrying(error.to_string()));
                retry::sleep(retry::pause(*planned, None).unwrap_or(*planned), self.progress)
            }
            None if self.place + 1 < self.places.len() => {
                self.next_place(&error);
                Ok(())
            }
            None => Err(error),
        }
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            if self.progress.cancelled() {
                return Err(RegistryError::Cancelled);
            }
            if self.position == self.size {
                return self.at_end();
            }
            if self.body.is_none() {
                match self.open() {
                    Ok(()) => {}
                    Err(RegistryError::CutOff { cause, .. }) => {
                        self.recover(cause)?;
                        continue;
                    }
                    Err(e) => return Err(e),
                }
            }
            let Some(body) = &mut self.body else { continue };
            let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
            let room = buf.len().min(left);
            match body.read(buf.get_mut(..room).unwrap_or_default()) {
                Ok(0) if room > 0 => self.recover("the connection ends early".to_owned())?,
                Ok(read) => {
                    self.position += read as u64;
                    self.since_failure += read as u64;
                    self.progress.blob(&self.digest, BlobState::Transfer(self.position, self.size));
                    return Ok(read);
                }
                Err(e) => self.recover(io_words(&e))?,
            }
        }
    }

    /// The promised size has come. A server that would send more does not have what was promised.
    fn at_end(&mut self) -> Result<usize> {
        if let Some(mut body) = self.body.take()
            && matches!(body.read(&mut [0; 1]), Ok(1))
        {
            let (host, limit) = (self.host(), self.size);
            return Err(RegistryError::TooLarge {
                host,
                what: format!("{}, which was promised smaller,", self.what()),
                limit,
            });
        }
        Ok(0)
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.next(buf).map_err(|error| {
            let text = error.to_string();
            *lock(&self.error) = Some(error);
            io::Error::other(text)
        })
    }
}

/// `bytes 5-9/10` → `(5, Some(10))` (RFC 9110, 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    let total = total.trim();
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.trim().parse().ok()?, total))
}

impl Client {
    /// A whole blob in memory, verified.
    pub(crate) fn fetch_blob(
        &self,
        places: &[Place],
        digest: &Digest,
        size: u64,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>> {
        let host = places.first().map(|p| p.origin.authority.clone()).unwrap_or_default();
        if size > limit {
            return Err(RegistryError::TooLarge { host, what: format!("blob {}", digest.short()), limit });
        }
        let mut reader = BlobReader::new(self, places, *digest, size, 0, progress);
        let slot = reader.error_slot();
        let mut bytes = Vec::new();
        if let Err(e) = reader.read_to_end(&mut bytes) {
            return Err(lock(&slot).take().unwrap_or(RegistryError::Unreachable { host, cause: e.to_string() }));
        }
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(RegistryError::mismatch(&reader.host(), format!("blob {}", digest.short()), digest, &actual));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes */10", "bytes 5-9", "items 5-9/10", "bytes -9/10", "bytes 5-9/x"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
