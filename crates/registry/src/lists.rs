//! Manifest lists in the making: `stockade manifest create`, `annotate` and `push`.
//!
//! A list lives in a file of its own under `<root>/manifests` until it is pushed. Its members are images that a
//! registry has; what is kept of them is their entry in the list.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use stockade_image::store::MAX_DOCUMENT_BYTES;
use stockade_image::{Digest, ImageConfig, Reference};

use crate::client::Client;
use crate::document::{Document, Entry, EntryPlatform, ImageIndex, check_image};
use crate::error::{RegistryError, Result};
use crate::places::Place;
use crate::progress::Progress;
use crate::push::Pushed;
use crate::referrers::json;
use crate::upload::{Outgoing, Source};

const SCHEMA: &str = "stockade.manifest-list/v1";
/// Largest file of a list that is read, in bytes.
const MAX_LIST_BYTES: u64 = 8 << 20;

/// A member of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListMember {
    /// Full name that it was added by.
    pub name: String,
    /// Its entry.
    pub entry: Entry,
}

/// A list in the making.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestList {
    schema: String,
    /// Full name of the list.
    pub name: String,
    /// In the order in which they were added.
    pub members: Vec<ListMember>,
}

impl ManifestList {
    /// An empty list.
    pub fn new(name: &Reference) -> ManifestList {
        ManifestList { schema: SCHEMA.to_owned(), name: name.canonical(), members: Vec::new() }
    }

    /// Adds members; one with the same digest is replaced.
    pub fn add(&mut self, members: Vec<ListMember>) {
        for member in members {
            self.members.retain(|known| known.entry.digest != member.entry.digest);
            self.members.push(member);
        }
    }

    /// The index that the registry will get.
    pub fn index(&self) -> ImageIndex {
        ImageIndex::new(self.members.iter().map(|m| m.entry.clone()).collect())
    }
}

/// The lists of a state directory.
#[derive(Debug, Clone)]
pub struct ManifestLists {
    dir: PathBuf,
}

impl ManifestLists {
    /// The lists under the state directory `root`. Nothing is made yet.
    pub fn new(root: &Path) -> ManifestLists {
        ManifestLists { dir: root.join("manifests") }
    }

    /// The list of this name, if there is one.
    pub fn get(&self, name: &Reference) -> Result<Option<ManifestList>> {
        use std::io::Read;
        let path = self.path(name);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(RegistryError::io("open", &path)(e)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_LIST_BYTES).read_to_end(&mut bytes).map_err(RegistryError::io("read", &path))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| RegistryError::Malformed {
            what: format!("the manifest list in `{}`", path.display()),
            reason: format!("{e}; remove it with `stockade manifest rm {name}`"),
        })
    }

    /// Keeps a list.
    pub fn put(&self, name: &Reference, list: &ManifestList) -> Result<()> {
        stockade_durable::create_private_dir(&self.dir)?;
        Ok(stockade_durable::write(&self.path(name), &json(list)?, 0o600)?)
    }

    /// Forgets a list. `false` if there is none.
    pub fn remove(&self, name: &Reference) -> Result<bool> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(RegistryError::io("remove", &path)(e)),
        }
    }

    fn path(&self, name: &Reference) -> PathBuf {
        self.dir.join(format!("{}.json", Digest::of(name.canonical().as_bytes()).hex()))
    }
}

impl Client {
    /// The members that an image of a registry makes: itself, or all images of its index.
    pub fn list_members(&self, reference: &Reference, progress: &dyn Progress) -> Result<Vec<ListMember>> {
        let place = Place::of(reference, &self.transport.options);
        let fetched = self.manifest(reference, progress)?;
        let pinned = |digest: &Digest| Reference { tag: None, digest: Some(*digest), ..reference.clone() }.canonical();
        let manifest = match &fetched.document {
            Document::Index(index) => {
                let member = |entry: &Entry| ListMember { name: pinned(&entry.digest), entry: entry.clone() };
                return Ok(index.manifests.iter().map(member).collect());
            }
            Document::Image(manifest) => manifest,
        };
        check_image(manifest).map_err(|refusal| refusal.of(format!("`{reference}`")))?;
        let config = &manifest.config;
        let bytes =
            self.fetch_blob(std::slice::from_ref(&place), &config.digest, config.size, MAX_DOCUMENT_BYTES, progress)?;
        let config: ImageConfig = serde_json::from_slice(&bytes).map_err(|e| RegistryError::Malformed {
            what: format!("the configuration of `{reference}`"),
            reason: crate::error::printable(&e.to_string()),
        })?;
        let platform = EntryPlatform {
            architecture: config.architecture,
            os: config.os,
            variant: config.variant,
            ..EntryPlatform::default()
        };
        let entry = Entry {
            media_type: fetched.media_type.clone(),
            digest: fetched.digest,
            size: fetched.bytes.len() as u64,
            platform: Some(platform),
            artifact_type: None,
            annotations: Default::default(),
        };
        Ok(vec![ListMember { name: reference.canonical(), entry }])
    }

    /// Sends a list. Members of other repositories of the same registry are taken into the list's repository.
    ///
    /// Errors: `Unsupported` for members of another registry, and where the registry does not give blobs from one
    /// repository to another: such images are to be pushed to the list's repository first.
    pub fn push_list(&self, name: &Reference, list: &ManifestList, progress: &dyn Progress) -> Result<Pushed> {
        if list.members.is_empty() {
            return Err(RegistryError::Malformed {
                what: format!("the manifest list `{name}`"),
                reason: "it has no members".to_owned(),
            });
        }
        let place = Place::of(name, &self.transport.options);
        for member in &list.members {
            self.take_member(&place, name, member, progress)?;
        }
        let bytes = json(&list.index())?;
        let tag = name.clone().or_latest().tag.unwrap_or_default();
        self.put_manifest(&place, &tag, stockade_image::config::media::INDEX, &bytes, progress)?;
        Ok(Pushed { digest: Digest::of(&bytes), size: bytes.len() as u64, tag })
    }

    /// Makes sure that the list's repository has the member.
    fn take_member(&self, place: &Place, list: &Reference, member: &ListMember, progress: &dyn Progress) -> Result<()> {
        let source: Reference = member.name.parse()?;
        let from = Place::of(&source, &self.transport.options);
        if from == *place {
            return Ok(());
        }
        let elsewhere = |reason: &str| RegistryError::Unsupported {
            what: format!("the member `{}` of the list `{list}`", member.name),
            reason: format!("{reason}; push it to `{}` first", list.name()),
        };
        if from.origin != place.origin {
            return Err(elsewhere("it is at another registry"));
        }
        let fetched = self.fetch_entry(&from, &member.entry, progress)?;
        if let Document::Image(manifest) = &fetched.document {
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                // No source of bytes: either the registry takes it from its own repository, or not at all.
                let outgoing = Outgoing { digest: blob.digest, size: blob.size, source: Source::Elsewhere };
                match self.upload(place, &outgoing, std::slice::from_ref(&from.repository), progress) {
                    Err(RegistryError::Unsupported { .. }) => {
                        return Err(elsewhere("the registry does not give its blobs from one repository to another"));
                    }
                    other => other?,
                }
            }
        }
        let digest = fetched.digest.to_string();
        self.put_manifest(place, &digest, &fetched.media_type, &fetched.bytes, progress).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_kept_by_full_name() {
        let dir = tempfile::tempdir().unwrap();
        let lists = ManifestLists::new(dir.path());
        let name: Reference = "x/y".parse().unwrap();
        assert!(lists.get(&name).unwrap().is_none());
        assert!(!lists.remove(&name).unwrap());
        let mut list = ManifestList::new(&name);
        let entry = Entry {
            media_type: "m".into(),
            digest: Digest::of(b"1"),
            size: 1,
            platform: None,
            artifact_type: None,
            annotations: Default::default(),
        };
        list.add(vec![ListMember { name: "a".into(), entry: entry.clone() }]);
        list.add(vec![ListMember { name: "b".into(), entry }]);
        assert_eq!(list.members.len(), 1);
        lists.put(&name, &list).unwrap();
        assert_eq!(lists.get(&"docker.io/x/y:latest".parse().unwrap()).unwrap(), Some(list));
        assert!(lists.remove(&name).unwrap());
    }
}
