//! What an image stands on, as its labels tell.

use stockade_base::BaseName;
use stockade_image::Image;

/// An image on a base of ours.
#[derive(Debug, Clone)]
pub struct Standing {
    /// A name of the image, or its short id.
    pub image: String,
    /// The base.
    pub name: BaseName,
    /// Day of the archive's index, `YYYY-MM-DD`.
    pub date: String,
    /// The archive's address.
    pub mirror: String,
    /// Whether the image is that base and nothing more.
    pub is_base: bool,
}

impl Standing {
    /// `None` for an image that does not say, or that stands on what this version does not know.
    pub fn of(image: &Image) -> Option<Standing> {
        let label = |key: &str| image.config.config.labels.get(&format!("org.stockade.base.{key}")).cloned();
        let text = label("name").or_else(|| {
            // Bases of earlier versions have no name of their own.
            let slim = if label("variant").as_deref() == Some("slim") { "-slim" } else { "" };
            Some(format!("{}:{}{slim}", label("distribution")?, label("codename")?))
        })?;
        let name = BaseName::parse(&text).ok().flatten()?;
        let is_base = image.config.rootfs.diff_ids.len() == 1
            && image.config.history.iter().any(|h| h.comment.as_deref() == Some("stockade base"))
            && image.config.history.len() == 1;
        Some(Standing {
            image: image.names.first().cloned().unwrap_or_else(|| image.id.short()),
            name,
            date: label("release-date").unwrap_or_default().chars().take(10).collect(),
            mirror: label("mirror").unwrap_or_default(),
            is_base,
        })
    }
}
