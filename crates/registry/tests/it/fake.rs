//! A registry in memory, whose answers a test can replace.

use std::collections::HashMap;
use std::sync::Arc;

use stockade_image::{Digest, Image, Store};

use crate::server::{Body, Reply, Request, Server};

/// What a registry has.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Documents by tag and by digest: media type and bytes.
    pub manifests: HashMap<String, (String, Vec<u8>)>,
    /// Blobs by digest.
    pub blobs: HashMap<String, Vec<u8>>,
}

impl Content {
    /// An image of a store under a tag.
    pub fn of(store: &Store, image: &Image, tag: &str) -> Content {
        let mut content = Content::default();
        content.add(store, image, tag);
        content
    }

    pub fn add(&mut self, store: &Store, image: &Image, tag: &str) {
        let manifest = store.read_blob(&image.manifest_digest).unwrap();
        self.put_manifest(tag, image.manifest.media_type.as_deref().unwrap(), &manifest);
        for blob in image.manifest.layers.iter().chain([&image.manifest.config]) {
            self.blobs.insert(blob.digest.to_string(), std::fs::read(store.blob_path(&blob.digest)).unwrap());
        }
    }

    pub fn put_manifest(&mut self, tag: &str, media_type: &str, bytes: &[u8]) {
        for key in [tag.to_owned(), Digest::of(bytes).to_string()] {
            self.manifests.insert(key, (media_type.to_owned(), bytes.to_vec()));
        }
    }

    /// What an honest registry answers. Knows ranges; repositories do not matter.
    pub fn answer(&self, request: &Request) -> Reply {
        let path = request.path.split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        if path == "/v2/" {
            return Reply::new(200, "{}");
        }
        if path.contains("/manifests/") {
            return match self.manifests.get(last) {
                Some((media_type, bytes)) => Reply::new(200, bytes.clone())
                    .with("Content-Type", media_type)
                    .with("Docker-Content-Digest", Digest::of(bytes)),
                None => not_found("MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        match self.blobs.get(last) {
            Some(bytes) => ranged(request, bytes),
            None => not_found("BLOB_UNKNOWN", "blob unknown"),
        }
    }

    /// A server that answers honestly where `special` has nothing to say.
    pub fn serve(self, special: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
        let content = Arc::new(self);
        Server::new(move |request| special(request).unwrap_or_else(|| content.answer(request)))
    }
}

pub fn not_found(code: &str, message: &str) -> Reply {
    Reply::new(404, format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
}

pub fn ranged(request: &Request, bytes: &[u8]) -> Reply {
    match request.range_start() {
        Some(start) if start < bytes.len() => Reply::new(206, &bytes[start..])
            .with("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
        Some(_) => Reply::new(416, ""),
        None => Reply::new(200, bytes),
    }
}

/// As [`ranged`], but the connection is cut after `at` bytes.
pub fn cut(request: &Request, bytes: &[u8], at: usize) -> Reply {
    let mut reply = ranged(request, bytes);
    if let Body::Whole(part) = reply.body {
        let at = at.min(part.len());
        reply.body = Body::Cut(part, at);
    }
    reply
}
