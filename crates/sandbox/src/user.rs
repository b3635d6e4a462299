//! Who a container's process runs as: `USER[:GROUP]` against the image's own account files.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use crate::error::Result;

/// A resolved user, by ids inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups (from /etc/group, where no group was given).
    pub groups: Vec<u32>,
    /// Home directory; `/` when unknown.
    pub home: String,
    /// Account name, when the image knows one.
    pub name: Option<String>,
}

/// Resolves `spec` (`""`, `name`, `uid`, `name:group`, `uid:gid`) in the root directory `root`.
pub fn resolve_user(root: BorrowedFd<'_>, spec: &str) -> Result<User> {
    let _ = (root, spec);
    Ok(User::default())
}

/// As [`resolve_user`], in overlay directories that are not mounted, topmost first.
pub fn resolve_user_in(layers: &[PathBuf], spec: &str) -> Result<User> {
    let _ = (layers, spec);
    Ok(User::default())
}
