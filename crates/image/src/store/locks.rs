//! The store's two locks. Order: collector, then index. Readers take neither.

use std::path::Path;

use stockade_durable::Lock;

use crate::error::Result;

/// Publishing is allowed, collecting is not. Held briefly.
#[derive(Debug)]
pub(crate) struct Shared(#[allow(dead_code)] Lock);

/// Collecting is allowed, publishing is not.
#[derive(Debug)]
pub(super) struct Exclusive(#[allow(dead_code)] Lock);

/// The index may be replaced.
#[derive(Debug)]
pub(crate) struct IndexLock(#[allow(dead_code)] Lock);

impl Shared {
    pub fn take(root: &Path) -> Result<Shared> {
        Ok(Shared(Lock::shared(&root.join("locks/collect"))?))
    }
}

impl Exclusive {
    pub fn take(root: &Path) -> Result<Exclusive> {
        Ok(Exclusive(Lock::exclusive(&root.join("locks/collect"))?))
    }
}

impl IndexLock {
    pub fn take(root: &Path) -> Result<IndexLock> {
        Ok(IndexLock(Lock::exclusive(&root.join("locks/index"))?))
    }
}
