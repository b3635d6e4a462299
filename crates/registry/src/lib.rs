//! The client of OCI and docker registries: images in and out over HTTP.
//!
//! What the room promises:
//! - [`Client::pull`] brings an image into the store: whole and verified, or not at all. What was received of a cut
//!   transfer is kept aside and continued.
//! - [`Client::push`] sends an image of the store; blobs that the registry has are not sent.
//! - Credentials go only to the host that they belong to ([`Client::login`], docker's `config.json`, its helpers).
//! - Nothing is unbounded: documents, headers, redirects, tries and error messages have limits, and transfers end at
//!   the promised size.
//!
//! Source: OCI distribution-spec 1.1; docker's token authentication.
#![forbid(unsafe_code)]

mod address;
mod blob;
mod catalog;
mod challenge;
mod client;
mod dockerconfig;
mod document;
mod error;
mod helper;
mod http;
mod lists;
mod login;
mod manifests;
mod options;
mod places;
mod platform;
mod progress;
mod proxy;
mod pull;
mod push;
mod recompress;
mod referrers;
mod remote;
mod retry;
mod secret;
mod tls;
mod token;
mod upload;

pub use catalog::{Found, TagList};
pub use challenge::{Challenge, parse_challenges};
pub use client::{Client, resolve_and_pull};
pub use document::{Document, Entry, EntryPlatform, Fetched, ImageIndex, MAX_MANIFEST_BYTES, parse_document};
pub use error::{Refusal, RegistryError, Result};
pub use lists::{ListMember, ManifestList, ManifestLists};
pub use login::{Login, StoredIn};
pub use options::Options;
pub use platform::parse_platform;
pub use progress::{BlobState, Progress, Silent};
pub use proxy::Proxies;
pub use pull::{PullOptions, Pulled};
pub use push::{PushCompression, PushOptions, Pushed};
pub use referrers::Artifact;
pub use remote::RemoteImage;
pub use secret::{Credential, Secret};
