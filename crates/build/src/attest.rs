//! What is attached to an image that was built: a list of what is in it, and a statement of how it was made.
//!
//! Both are made when an image is new. A build that ends in an image which has them already does nothing here, so the
//! cached rebuild stays fast; and layers that an earlier scan or build looked into are not read again.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stockade_image::{Attachment, Image};
use stockade_inventory::{LayerSource, Options, SbomInfo, scan_layers, write_cyclonedx, write_spdx};

use crate::builder::Build;
use crate::error::BuildError;
use crate::events::Finish;
use crate::request::{BuildContext, Provenance};
use crate::walk::lock;

/// Artifact type of the CycloneDX list.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// Artifact type of the SPDX list.
pub const SPDX: &str = "application/spdx+json";
/// Artifact type of the in-toto statement.
pub const STATEMENT: &str = "application/vnd.in-toto+json";
/// Predicate type of SLSA provenance (slsa.dev/provenance/v1).
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// Names the meaning of the statement's parameters.
const BUILD_TYPE: &str = "https://stockade.dev/build/dockerfile/v1";

/// Something that a build took from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Material {
    pub(crate) uri: String,
    /// Algorithm and value.
    pub(crate) digest: (String, String),
}

impl Build<'_> {
    /// Notes what the image is made of.
    pub(crate) fn note_material(&self, uri: String, algorithm: &str, value: String) {
        lock(&self.materials).insert(Material { uri, digest: (algorithm.to_owned(), value) });
    }

    /// Attaches what was asked for and is not there yet.
    pub(crate) fn attest(&self, image: &Image) -> Result<(), BuildError> {
        let attest = self.request.attest;
        let known: Vec<String> =
            self.store.referrers(&image.manifest_digest)?.into_iter().filter_map(|d| d.artifact_type).collect();
        let lacks = |kind: &str| !known.iter().any(|k| k == kind);
        let sbom = attest.sbom && (lacks(CYCLONEDX) || lacks(SPDX));
        let provenance = attest.provenance != Provenance::Off && lacks(STATEMENT);
        if !sbom && !provenance {
            return Ok(());
        }
        let step = self.next_step();
        self.events.started(step, "attaching the bill of materials and the provenance");
        let result = self.documents(image, sbom, provenance).and_then(|documents| {
            self.cancel.check()?;
            Ok(self.store.attach(image, &documents)?)
        });
        let finish = match &result {
            Ok(_) => Finish::Done,
            Err(e) => Finish::Failed(e.to_string()),
        };
        self.events.finished(step, &finish);
        result.map(drop)
    }

    fn documents(&self, image: &Image, sbom: bool, provenance: bool) -> Result<Vec<Attachment>, BuildError> {
        let mut out = Vec::new();
        if sbom {
            out.extend(self.sboms(image)?);
        }
        if provenance {
            let annotations = BTreeMap::from([("in-toto.io/predicate-type".to_owned(), PREDICATE.to_owned())]);
            out.push(Attachment {
                artifact_type: STATEMENT.to_owned(),
                media_type: STATEMENT.to_owned(),
                bytes: bytes(&self.statement(image))?,
                annotations,
            });
        }
        Ok(out)
    }

    fn sboms(&self, image: &Image) -> Result<Vec<Attachment>, BuildError> {
        let layers = self.store.layer_readers(image)?;
        let sources: Vec<LayerSource<'_>> = layers
            .iter()
            .map(|layer| LayerSource {
                diff_id: layer.diff_id.to_string(),
                open: Box::new(|| {
                    let reader = layer.open().map_err(std::io::Error::other)?;
                    Ok(Box::new(reader) as Box<dyn std::io::Read + Send>)
                }),
                dir: layer.dir.clone(),
            })
            .collect();
        let inventory = scan_layers(&sources, self.inventory, &Options::default())
            .map_err(|e| BuildError::Usage(format!("the image cannot be listed for its bill of materials: {e}")))?;
        let info = SbomInfo {
            name: self.request.tags.first().map(|t| t.clone().or_latest().to_string()).unwrap_or_default(),
            version: image.manifest_digest.to_string(),
            created: image.created.clone().unwrap_or_default(),
        };
        let io = |e| BuildError::io("write", std::path::Path::new("bill of materials"))(e);
        let (mut cyclonedx, mut spdx) = (Vec::new(), Vec::new());
        write_cyclonedx(&inventory, &info, &mut cyclonedx).map_err(io)?;
        write_spdx(&inventory, &info, &mut spdx).map_err(io)?;
        // What could not be read is no silence: the number is told, and `stockade scan` says what and why.
        let packages = BTreeMap::from([
            ("dev.stockade.packages".to_owned(), inventory.packages.len().to_string()),
            ("dev.stockade.unknown".to_owned(), inventory.unknown.len().to_string()),
        ]);
        let make = |kind: &str, bytes| Attachment {
            artifact_type: kind.to_owned(),
            media_type: kind.to_owned(),
            bytes,
            annotations: packages.clone(),
        };
        Ok(vec![make(CYCLONEDX, cyclonedx), make(SPDX, spdx)])
    }

    /// The statement: in-toto's frame (in-toto.io/Statement/v1) around SLSA's predicate.
    fn statement(&self, image: &Image) -> Value {
        let name = self.request.tags.first().map(|t| t.clone().or_latest().canonical());
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{
                "name": name.unwrap_or_else(|| image.id.to_string()),
                "digest": { "sha256": image.manifest_digest.hex() },
            }],
            "predicateType": PREDICATE,
            "predicate": self.predicate(image),
        })
    }

    /// SLSA's predicate, for `--metadata-file` too.
    pub(crate) fn predicate(&self, image: &Image) -> Value {
        let dependencies: Vec<Value> = lock(&self.materials)
            .iter()
            .map(|m| json!({ "uri": m.uri, "digest": { m.digest.0.as_str(): m.digest.1 } }))
            .collect();
        json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": self.parameters(),
                "internalParameters": self.internal_parameters(),
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": "https://stockade.dev/stockade",
                    "version": { "stockade": env!("CARGO_PKG_VERSION") },
                },
                // Of the image, not of the clock: the same build gives the same statement.
                "metadata": { "invocationId": image.id.hex(), "finishedOn": image.created },
            },
        })
    }

    fn internal_parameters(&self) -> Value {
        let mut parameters = json!({ "platform": crate::scope::machine_platform() });
        // Of a minimal image: the one that all instructions made.
        if let Some(from) = *lock(&self.reduced_from)
            && let Some(parameters) = parameters.as_object_mut()
        {
            parameters.insert("minimizedFrom".to_owned(), json!({ "sha256": from.hex() }));
        }
        parameters
    }

    fn parameters(&self) -> Value {
        let request = self.request;
        let whole = request.attest.provenance == Provenance::Max;
        let context = match &request.context {
            BuildContext::Dir(_) => json!({ "kind": "directory" }),
            BuildContext::Tar { .. } => json!({ "kind": "tar" }),
            BuildContext::Empty => json!({ "kind": "none" }),
            BuildContext::Git(_) => {
                let of = self.context.checkout.as_ref().map(|(address, checkout)| (address.shown(), &checkout.commit));
                json!({ "kind": "git", "uri": of.as_ref().map(|o| &o.0), "commit": of.as_ref().map(|o| o.1) })
            }
        };
        let args: Value = if whole {
            json!(request.build_args)
        } else {
            // Values may be what nobody else should read.
            json!(request.build_args.keys().collect::<Vec<_>>())
        };
        let mut parameters = json!({
            "context": context,
            "dockerfile": { "name": self.plan.dockerfile.file, "digest": { "sha256": self.recipe_digest.hex() } },
            "target": request.target,
            "buildArgs": args,
            "labels": request.labels.keys().collect::<Vec<_>>(),
            "secrets": request.secrets.keys().collect::<Vec<_>>(),
            "ssh": request.ssh.keys().collect::<Vec<_>>(),
            "network": request.network.to_string(),
            "confinement": request.level.to_string(),
            "sourceDateEpoch": self.epoch,
        });
        if whole && let Some(dockerfile) = parameters.get_mut("dockerfile").and_then(Value::as_object_mut) {
            dockerfile.insert("text".to_owned(), json!(&*self.plan.dockerfile.text));
        }
        parameters
    }
}

fn bytes(value: &Value) -> Result<Vec<u8>, BuildError> {
    let mut out = serde_json::to_vec_pretty(value)
        .map_err(|e| BuildError::Usage(format!("the provenance cannot be written: {e}")))?;
    out.push(b'\n');
    Ok(out)
}
