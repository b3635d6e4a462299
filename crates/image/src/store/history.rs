//! `history`: what made each layer.

use super::Store;
use super::images::Image;
use super::layers::unpacked_bytes;
use crate::digest::Digest;
use crate::error::Result;

/// One line of `history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image's id on the newest line; older lines have none, as with docker's `<missing>`.
    pub id: Option<Digest>,
    /// RFC 3339 time.
    pub created: Option<String>,
    /// The instruction.
    pub created_by: String,
    /// Unpacked bytes of its layer; 0 for an instruction without one.
    pub size: u64,
    /// Free text.
    pub comment: String,
    /// The layer, if the instruction made one.
    pub diff_id: Option<Digest>,
}

impl Store {
    /// What made the image, newest first. Layers that the history does not mention come last, without an instruction.
    pub fn history(&self, image: &Image) -> Result<Vec<HistoryEntry>> {
        let layers = self.layers(image)?;
        let mut rest = layers.iter();
        let mut lines: Vec<HistoryEntry> = Vec::with_capacity(image.config.history.len());
        for entry in &image.config.history {
            let layer = if entry.empty_layer { None } else { rest.next() };
            lines.push(HistoryEntry {
                id: None,
                created: entry.created.clone(),
                created_by: entry.created_by.clone().unwrap_or_default(),
                size: layer.map_or(0, |l| unpacked_bytes(self, l)),
                comment: entry.comment.clone().unwrap_or_default(),
                diff_id: layer.map(|l| l.diff_id),
            });
        }
        lines.extend(rest.map(|layer| HistoryEntry {
            id: None,
            created: None,
            created_by: String::new(),
            size: unpacked_bytes(self, layer),
            comment: String::new(),
            diff_id: Some(layer.diff_id),
        }));
        lines.reverse();
        if let Some(newest) = lines.first_mut() {
            newest.id = Some(image.id);
        }
        Ok(lines)
    }
}
