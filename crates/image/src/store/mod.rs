//! The image store on disk.
//!
//! ```text
//! <root>/image/oci-layout, index.json, blobs/sha256/<digest>   an OCI image layout: the truth about images
//! <root>/layers/<diff id>/fs, meta.json                        unpacked layers, lower directories of overlay mounts; the
//!                                                              blob of a large one may be made of it on demand
//! <root>/referrers/<digest of a manifest>                      what is attached to it: bills of materials and the like
//! <root>/leases/<holder>                                       images that containers use
//! <root>/cache/<digest of key>                                 the builder's cache
//! <root>/partial/<digest>                                      blobs on their way, see `pulled.rs`
//! <root>/sessions/<id>, tmp/<id>/                              what running processes are doing
//! <root>/locks/collect, locks/index, locks/reserve              the last is space for removing on a full disk
//! ```
//!
//! **Crash safety.** An image is made in this order: blobs and layers are written under `tmp/`, synced, renamed to
//! their places; the directories are synced; `index.json` is replaced atomically. Removal goes the other way: first
//! the index, then layers, then blobs. At every instant, what the index refers to is complete; what a crash leaves is
//! content that nothing refers to, which [`Store::prune`] collects, and unfinished files, which the next
//! [`Store::open`] sweeps.
//!
//! **Concurrency.** Readers take no lock. The index is changed under `locks/index`. Whoever publishes content first
//! writes its digest to the session's file (a *pin*) with `locks/collect` shared; whoever deletes content holds
//! `locks/collect` alone and spares all pins of living sessions. So two builds, a removal and a prune can run at once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stockade_durable::create_private_dir;

mod blobs;
mod cache;
mod check;
mod collect;
mod history;
mod images;
pub(crate) mod index;
mod layers;
mod leases;
mod locks;
mod ondemand;
mod pulled;
mod referrers;
mod reserve;
mod seal;
mod session;
mod usage;

pub use blobs::{BlobInfo, MAX_DOCUMENT_BYTES};
pub use cache::CacheEntry;
pub use check::{Checked, Damage, Depth, Repair};
pub use collect::{Pruned, Removed};
pub use history::HistoryEntry;
pub use images::{Image, host_architecture};
pub(crate) use images::{choose_platform, is_index, parse_manifest, to_json};
pub(crate) use layers::descriptor;
pub use layers::{Layer, LayerOptions, LayerSource};
pub use leases::Lease;
pub use pulled::Partial;
pub use referrers::Attachment;
pub use seal::Verify;
pub use session::Staging;
pub use usage::{ImageUsage, StoreUsage, TreeNode};

use crate::digest::Digest;
use crate::error::Result;
use index::Index;
use locks::IndexLock;
use session::Session;
pub(crate) use session::StagedFile;

/// Directories of a store, relative to its root.
const DIRS: [&str; 6] = ["layers", "leases", "cache", "sessions", "tmp", "locks"];
/// Content of the file that makes a directory an OCI image layout (image-spec, "oci-layout file").
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The image store. Cheap to open; several processes may use one root at the same time. Content that was made through
/// a value is not collected while the value lives, even if no image refers to it yet.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    session: Mutex<Option<Arc<Session>>>,
    /// Manifests that this value took leases on: their layers need no pin besides.
    leased: Mutex<HashSet<Digest>>,
}

impl Store {
    /// Opens the store at `root`, making what is missing, and sweeps what dead processes left unfinished.
    pub fn open(root: &Path) -> Result<Store> {
        let store = Store { root: root.to_owned(), session: Mutex::default(), leased: Mutex::default() };
        if !store.layout_dir().join("oci-layout").exists() || !DIRS.iter().all(|dir| root.join(dir).is_dir()) {
            store.make()?;
        }
        session::sweep(root);
        Ok(store)
    }

    fn make(&self) -> Result<()> {
        for dir in DIRS {
            create_private_dir(&self.root.join(dir))?;
        }
        let layout = self.layout_dir();
        create_private_dir(&layout.join("blobs/sha256"))?;
        let lock = IndexLock::take(&self.root)?;
        if !layout.join("index.json").exists() {
            Index::default().write(&layout, &lock)?;
        }
        self.keep_reserve();
        // Last: its presence says that the rest is there.
        Ok(stockade_durable::write(&layout.join("oci-layout"), LAYOUT, 0o644)?)
    }

    /// The directory that everything is in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The OCI image layout.
    pub fn layout_dir(&self) -> PathBuf {
        self.root.join("image")
    }

    /// A private directory on the store's file system, removed when dropped; for what becomes a layer.
    pub fn staging_dir(&self) -> Result<Staging> {
        Staging::new(self.session()?)
    }

    /// A private file for what is being received.
    pub(crate) fn staged_file(&self) -> Result<StagedFile> {
        StagedFile::new(self.session()?)
    }

    fn leased_here(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> Result<Arc<Session>> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let begun = Arc::new(Session::begin(&self.root)?);
        *session = Some(Arc::clone(&begun));
        Ok(begun)
    }
}
