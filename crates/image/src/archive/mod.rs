//! Archives of whole images: docker's `save` form and OCI image layouts in a tar.

/// Form of an image archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What `docker load` reads: `manifest.json`, configuration, uncompressed layers.
    Docker,
    /// An OCI image layout in a tar, layers compressed as stored.
    Oci,
}
