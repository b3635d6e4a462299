//! What is inside an image: operating system and packages.
//!
//! Three sources, one answer: image layers ([`scan_layers`]), a root directory ([`scan_dir`]), a single file or source
//! tree ([`scan_source`]). Data that could not be read is part of the answer ([`Inventory::unknown`]), never silence.
//! This room lists; it judges nothing.
//!
//! How a scan goes: **walk** (or tar stream) → **analysers**, one file each, chosen by name → facts per file →
//! for images, **merge** of the layers' facts to the visible ones → **finish**, which sees all files together.
#![forbid(unsafe_code)]

mod analyzer;
mod analyzers;
mod binaries;
mod candidates;
mod closure;
mod control;
mod elf;
mod eol;
mod error;
mod extras;
mod facts;
mod fileview;
mod finish;
mod image_checks;
mod json;
mod layer;
mod layer_tar;
mod linked;
mod locks;
mod merge;
mod model;
mod options;
mod os;
mod owners;
mod ownership;
mod packed;
mod pathhash;
pub mod purl;
mod root;
mod rpmdb;
mod sbom;
mod scan;
mod scan_file;
mod secrets;
mod startup;
mod tarstream;
#[cfg(test)]
mod testing;
mod verified;
mod walk;
mod yaml;
mod zip;

pub use analyzers::go_linked::GoProgram;
pub use closure::{EntryPoint, entry_files, entry_files_of};
pub use eol::end_of_life;
pub use error::InventoryError;
pub use image_checks::{ImageFacts, Weakness, check_image};
pub use layer::{LAYER_FORMAT, LayerCache, LayerInventory, LayerSource, OpenLayer, scan_layer_dir};
pub use layer_tar::scan_layer;
pub use linked::{Linked, linked};
pub use merge::merge;
pub use model::{Evidence, Inventory, LayerInfo, OsBase, OsInfo, Package, PackageKind, SourcePackage, Unknown};
pub use options::{Limits, Locks, Options};
pub use ownership::Ownership;
pub use sbom::{MAX_SBOM_BYTES, SbomInfo, read_sbom, write_cyclonedx, write_spdx};
pub use scan::{read_layers, scan_dir, scan_layers, scan_source};
pub use scan_file::{scan_bytes, scan_file};
pub use secrets::{Secret, scan_config as scan_config_secrets};
pub use verified::{expect_digest, scan_layer_verified};
