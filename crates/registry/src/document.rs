//! Manifests and indexes as registries send them: OCI's and docker's schema 2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stockade_image::config::media;
use stockade_image::{Descriptor, Digest, Manifest, Platform};

use crate::error::Refusal;

/// Largest manifest or index, in bytes: the limit that the distribution-spec asks registries to keep.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Most layers of one image. Overlayfs takes 500 lower directories, docker 127.
const MAX_LAYERS: usize = 500;
/// Docker's first manifests, signed and unsigned.
const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
];

/// What a client says that it reads, the best first.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// One image, or one artifact.
    Image(Manifest),
    /// Images for several platforms.
    Index(ImageIndex),
}

/// A document with its bytes, which its digest is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// As the registry sent them.
    pub bytes: Vec<u8>,
    /// Media type.
    pub media_type: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// What they say.
    pub document: Document,
}

/// An image index, or docker's manifest list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// Media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The images.
    #[serde(default)]
    pub manifests: Vec<Entry>,
    /// What this is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Entry>,
    /// Free facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageIndex {
    /// An OCI index of these entries.
    pub fn new(manifests: Vec<Entry>) -> ImageIndex {
        ImageIndex {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Media type of the document.
    pub media_type: String,
    /// Digest of the document.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The machine that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<EntryPlatform>,
    /// Type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Entry {
    /// Whether it is an image at all: docker puts attestations beside images, for no machine.
    pub fn is_image(&self) -> bool {
        let unknown = self.platform.as_ref().is_some_and(|p| p.os == "unknown" || p.architecture == "unknown");
        !unknown && self.artifact_type.is_none() && !self.annotations.contains_key("vnd.docker.reference.type")
    }
}

/// The machine that an entry is for, with what Windows needs to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPlatform {
    /// Go's name: `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Version of the system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the system must have.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl From<&EntryPlatform> for Platform {
    fn from(p: &EntryPlatform) -> Platform {
        let variant = p.variant.clone().filter(|v| !v.is_empty());
        Platform { architecture: p.architecture.clone(), os: p.os.clone(), variant }
    }
}

/// What every document has; decides what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

/// Reads a document. `content_type` is the header that it came with. Gives its media type too.
///
/// A document that could be read as an image and as an index, or that says another type than its header, is refused:
/// two readers would see two images under one digest (CVE-2021-41190).
pub fn parse_document(bytes: &[u8], content_type: Option<&str>) -> Result<(String, Document), Refusal> {
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(Refusal::malformed(format!("it is larger than {MAX_MANIFEST_BYTES} bytes")));
    }
    let header = content_type.and_then(|t| t.split(';').next()).map(str::trim).filter(|t| is_known(t));
    if header.is_some_and(|h| SCHEMA_1.contains(&h)) {
        return Err(schema_1());
    }
    let head: Head =
        serde_json::from_slice(bytes).map_err(|e| Refusal::malformed(format!("it is no manifest: {e}")))?;
    match head.schema_version {
        Some(2) => {}
        Some(1) => return Err(schema_1()),
        Some(other) => return Err(Refusal::unsupported(format!("its schema version is {other}, not 2"))),
        None => return Err(Refusal::malformed("it is no manifest: it has no schema version")),
    }
    if head.manifests.is_some() && (head.layers.is_some() || head.config.is_some()) || head.fs_layers.is_some() {
        return Err(Refusal::malformed("it could be read as an image and as something else"));
    }
    if let (Some(own), Some(header)) = (head.media_type.as_deref(), header)
        && own != header
    {
        return Err(Refusal::malformed(format!("it says to be `{}`, its header says `{header}`", shown(own))));
    }
    let guessed = if head.manifests.is_some() { media::INDEX } else { media::MANIFEST };
    let media_type = head.media_type.as_deref().or(header).unwrap_or(guessed).to_owned();
    let document = match media_type.as_str() {
        media::INDEX | media::DOCKER_MANIFEST_LIST => Document::Index(parse(bytes)?),
        media::MANIFEST | media::DOCKER_MANIFEST => Document::Image(parse(bytes)?),
        other => return Err(Refusal::unsupported(format!("it is of the type `{}`, which is no image", shown(other)))),
    };
    if let Document::Image(manifest) = &document
        && manifest.layers.len() > MAX_LAYERS
    {
        return Err(Refusal::unsupported(format!("it has {} layers, more than {MAX_LAYERS}", manifest.layers.len())));
    }
    Ok((media_type, document))
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|e| Refusal::malformed(format!("it is no manifest: {}", shown(&e.to_string()))))
}

fn schema_1() -> Refusal {
    Refusal::unsupported(
        "it is docker's manifest schema 1, which was withdrawn in 2017 because its content is not verifiable; \
         push the image again with a docker of version 1.10 or later",
    )
}

fn is_known(media_type: &str) -> bool {
    matches!(media_type, media::INDEX | media::MANIFEST | media::DOCKER_MANIFEST | media::DOCKER_MANIFEST_LIST)
        || SCHEMA_1.contains(&media_type)
}

fn shown(text: &str) -> String {
    crate::error::printable(text)
}

/// Whether a manifest is an image that can run, and its layers can be taken.
pub(crate) fn check_image(manifest: &Manifest) -> Result<(), Refusal> {
    let kind = manifest.config.media_type.as_str();
    if manifest.artifact_type.is_some() || !matches!(kind, media::CONFIG | media::DOCKER_CONFIG) {
        let kind = manifest.artifact_type.as_deref().unwrap_or(kind);
        return Err(Refusal::unsupported(format!("it is an artifact of the type `{}`, not an image", shown(kind))));
    }
    manifest.layers.iter().try_for_each(check_layer)
}

fn check_layer(layer: &Descriptor) -> Result<(), Refusal> {
    let kind = layer.media_type.as_str();
    if kind.contains("foreign") || kind.contains("nondistributable") {
        return Err(Refusal::unsupported(format!(
            "its layer {} is not to be distributed by registries (`{}`); such layers are those of Windows images",
            layer.digest.short(),
            shown(kind)
        )));
    }
    let taken = [
        media::LAYER_TAR,
        media::LAYER_GZIP,
        media::LAYER_ZSTD,
        media::DOCKER_LAYER_GZIP,
        media::DOCKER_LAYER_TAR,
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ];
    if taken.contains(&kind) {
        return Ok(());
    }
    let reason = format!("its layer {} is of the type `{}`, which is no tar", layer.digest.short(), shown(kind));
    Err(Refusal::unsupported(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(layer_type: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{D}","size":2}},
               "layers":[{{"mediaType":"{layer_type}","digest":"{D}","size":3}}]}}"#,
            media::MANIFEST,
            media::CONFIG
        )
    }

    #[track_caller]
    fn refused(text: &str, content_type: Option<&str>, part: &str) {
        let error = parse_document(text.as_bytes(), content_type).unwrap_err();
        assert!(error.reason.contains(part), "{error}");
    }

    #[test]
    fn both_kinds_of_documents_are_read() {
        let (kind, document) = parse_document(manifest(media::LAYER_GZIP).as_bytes(), None).unwrap();
        assert_eq!(kind, media::MANIFEST);
        let Document::Image(manifest) = document else { panic!("{document:?}") };
        check_image(&manifest).unwrap();

        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{D}","size":1,"platform":{{"os":"windows","architecture":"amd64","os.version":"10"}}}}]}}"#,
            media::DOCKER_MANIFEST
        );
        let (kind, document) = parse_document(
            index.as_bytes(),
            Some("application/vnd.docker.distribution.manifest.list.v2+json; charset=x"),
        )
        .unwrap();
        assert_eq!(kind, media::DOCKER_MANIFEST_LIST);
        let Document::Index(index) = document else { panic!("{document:?}") };
        assert_eq!(index.manifests[0].platform.as_ref().unwrap().os_version.as_deref(), Some("10"));
    }

    #[test]
    fn schema_1_is_refused_by_name() {
        refused(r#"{"schemaVersion":1,"fsLayers":[]}"#, None, "schema 1");
        refused("{}", Some(SCHEMA_1[0]), "schema 1");
    }

    #[test]
    fn documents_with_two_faces_are_refused() {
        let two = manifest(media::LAYER_GZIP).replacen("\"config\"", "\"manifests\":[],\"config\"", 1);
        refused(&two, None, "something else");
        refused(&manifest(media::LAYER_GZIP), Some(media::INDEX), "its header says");
        refused(r#"{"schemaVersion":2,"mediaType":"text/plain"}"#, None, "which is no image");
        refused(r#"{"schemaVersion":3}"#, None, "schema version is 3");
        refused(r#"{"mediaType":"x"}"#, None, "no schema version");
        refused("<html>", None, "no manifest");
        refused(&"[".repeat(10_000), None, "no manifest");
        refused(&manifest(media::LAYER_GZIP).replace("\"size\":3", "\"size\":-3"), None, "no manifest");
        refused(&manifest(media::LAYER_GZIP).replace(D, "md5:x"), None, "no manifest");
    }

    #[test]
    fn foreign_layers_and_artifacts_are_refused_by_name() {
        let check = |text: &str| match parse_document(text.as_bytes(), None).unwrap().1 {
            Document::Image(manifest) => check_image(&manifest).map_err(|e| e.reason),
            Document::Index(_) => panic!(),
        };
        for kind in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ] {
            assert!(check(&manifest(kind)).unwrap_err().contains("not to be distributed"), "{kind}");
        }
        assert!(
            check(&manifest("application/vnd.oci.image.layer.v1.tar+gzip+encrypted")).unwrap_err().contains("no tar")
        );
        let chart = manifest(media::LAYER_GZIP).replace(media::CONFIG, "application/vnd.cncf.helm.config.v1+json");
        assert!(check(&chart).unwrap_err().contains("helm"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>, header in proptest::option::of(".{0,40}")) {
            let _ = parse_document(&bytes, header.as_deref());
        }

        #[test]
        fn damaged_manifests_parse_or_fail(at in 0usize..300, byte: u8) {
            let mut bytes = manifest(media::LAYER_GZIP).into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok((_, Document::Image(manifest))) = parse_document(&bytes, None) {
                let _ = check_image(&manifest);
            }
        }
    }
}
