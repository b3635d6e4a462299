//! What an archive offers now, for images that were made from it earlier.

use std::collections::BTreeMap;

use crate::archive;
use crate::bootstrap::{BaseRequest, facts, labels};
use crate::error::BaseError;
use crate::fetch::Client;
use crate::keyring::Keyring;
use crate::mirror::resolve_mirror;
use crate::packages::Offer;
use crate::release::format_date;
use crate::version;

/// The verified present state of an archive.
pub struct Present {
    labels: BTreeMap<String, String>,
    offer: Offer,
    /// Day of the newest signed index, `YYYY-MM-DD`.
    pub date: String,
}

/// Reads and verifies the indexes of the archive that `request.name` is made from. Nothing is unpacked; `staging` is not
/// used.
///
/// # Errors
/// As [`crate::bootstrap()`], as far as the indexes.
pub fn present(request: &BaseRequest) -> Result<Present, BaseError> {
    let facts = facts(request)?;
    let environment = |variable: &str| request.environment.get(variable).cloned();
    let mirror = resolve_mirror(&request.name, &request.arch, &request.mirror, &environment, &request.host_root)?;
    let keyring = Keyring::collect(request.name.distro, request.keyring.as_deref(), &request.host_root)?;
    let client = Client::new(&mirror, request.name.distro, &request.cache_dir)?;
    let archive = archive::read(&request.name, facts, &request.arch, &mirror, &client, &keyring, request.now)?;
    let (labels, date) = (labels(request, facts, &mirror, &archive), format_date(archive.date()));
    Ok(Present { labels, offer: archive.offer, date })
}

impl Present {
    /// Whether an image with these labels was made from other lists of packages than the archive has now.
    pub fn is_newer_than(&self, labels: &BTreeMap<String, String>) -> bool {
        let lists = |labels: &BTreeMap<String, String>| -> Vec<(String, String)> {
            let of_lists = |key: &String| key.starts_with("org.stockade.base.packages-sha256");
            labels.iter().filter(|(key, _)| of_lists(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        lists(&self.labels) != lists(labels)
    }

    /// The version of a package that the archive offers.
    ///
    /// # Errors
    /// [`BaseError::Malformed`] when the package's entry is.
    pub fn version(&self, package: &str) -> Result<Option<String>, BaseError> {
        Ok(self.offer.best(package)?.map(|candidate| candidate.version))
    }

    /// The version of a package that the archive offers, if it is newer than `installed`.
    ///
    /// # Errors
    /// [`BaseError::Malformed`] when the package's entry is.
    pub fn newer(&self, package: &str, installed: &str) -> Result<Option<String>, BaseError> {
        let best = self.offer.best(package)?.map(|candidate| candidate.version);
        Ok(best.filter(|offered| version::compare(offered, installed).is_gt()))
    }
}
