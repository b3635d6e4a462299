//! Archives of whole images: docker's `save` form and OCI image layouts in a tar; imports of plain root tars.

mod change;
mod docker;
mod import;
mod load;
mod oci;
mod save;
mod staged;

pub use change::apply_change;
pub use docker::parse_docker_manifest;

/// Form of an image archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What `docker load` reads: `manifest.json`, configurations, uncompressed layers. Since docker 25 that is an OCI
    /// layout at the same time, and so is ours.
    Docker,
    /// An OCI image layout in a tar, layers compressed as they are stored.
    Oci,
}
