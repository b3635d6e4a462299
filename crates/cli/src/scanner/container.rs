//! A container as it is now: its image's files with its own changes on top, and what these changes are.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stockade_advisory::report::{Drift, FileChange, FileDrift, LayerOrigin};
use stockade_engine::{Change, ChangeKind, Engine, Layers};
use stockade_image::{Digest, ImageConfig, Store};
use stockade_inventory::{LayerInventory, LayerSource, Options, merge, read_layers, scan_layer_dir};

use super::layers;
use super::list::{Listing, loaded_at_start, of_image, target};
use crate::container::engine;
use crate::context::Context;
use crate::failure::Failure;

/// What stands for the diff id of the container's own layer.
const OWN: &str = "container";
/// Files named in the report; a container may have written a million.
const MAX_FILES: usize = 1000;

/// Lists what a process in the container would see. The container is only read; it may run on.
pub fn list(context: &Context, name: &str, options: &Options) -> Result<Listing, Failure> {
    context.need_root("scanning a container")?;
    let engine = engine(context)?;
    let place = engine.layers(name)?;
    let (config, mut read) = lower(context, &place, options)?;
    let before = merge(&read, options);
    read.push(scan_layer_dir(&place.upper, OWN, options)?);
    let mut after = merge(&read, options);
    let dirs: Vec<&Path> = place.lower.iter().chain([&place.upper]).map(PathBuf::as_path).collect();
    after.entry_files = loaded_at_start(&config, &dirs);
    let mut drift = Drift::between(&before, &after);
    files(&engine, name, &place.upper, &mut drift)?;
    let mut listing = of_image(after, &config, target(name, "container", Some(place.id)), options);
    // Layers without a place in the history come first: the container's own one is the last.
    let own = LayerOrigin { diff_id: OWN.to_owned(), instruction: Some("changed in the container".to_owned()) };
    listing.layers.resize(read.len() - 1, LayerOrigin::default());
    listing.layers.push(own);
    listing.drift = Some(drift);
    Ok(listing)
}

/// The image's layers: by their digests, and from the cache, while the store has the image.
fn lower(context: &Context, place: &Layers, options: &Options) -> Result<(ImageConfig, Vec<LayerInventory>), Failure> {
    let store = Store::open(&context.settings.dirs.root)?;
    let image = match place.image.parse::<Digest>() {
        Ok(id) => store.get(&id)?,
        Err(_) => None,
    };
    if let Some(image) = image.filter(|i| i.config.rootfs.diff_ids.len() == place.lower.len()) {
        let sources = store.layer_readers(&image)?;
        let readers: Vec<_> = sources.iter().map(layers::source).collect();
        let cache = layers::Cache::new(context);
        return Ok((image.config, read_layers(&readers, Some(&cache), options)?));
    }
    let sources: Vec<LayerSource<'_>> = place
        .lower
        .iter()
        .map(|dir| LayerSource {
            diff_id: dir.display().to_string(),
            open: Box::new(|| Err(io::Error::new(io::ErrorKind::NotFound, "the layer's directory is gone"))),
            dir: Some(dir.clone()),
        })
        .collect();
    Ok((ImageConfig::default(), read_layers(&sources, None, options)?))
}

fn files(engine: &Engine, name: &str, upper: &Path, drift: &mut Drift) -> Result<(), Failure> {
    let changes = engine.diff(name)?;
    let mut seen: Vec<FileDrift> = changes
        .into_iter()
        .map(|change| FileDrift {
            executable: is_executable(upper, &change),
            change: match change.kind {
                ChangeKind::Added => FileChange::Added,
                ChangeKind::Changed => FileChange::Changed,
                ChangeKind::Deleted => FileChange::Deleted,
            },
            path: change.path,
        })
        // Directories change whenever something in them does: that says nothing.
        .filter(|f| f.change == FileChange::Deleted || !is_dir(upper, &f.path))
        .collect();
    // Programs first: one that the image does not have is what an intruder brings.
    seen.sort_by(|a, b| b.executable.cmp(&a.executable).then_with(|| a.path.cmp(&b.path)));
    drift.more_files = seen.len().saturating_sub(MAX_FILES);
    seen.truncate(MAX_FILES);
    drift.files = seen;
    Ok(())
}

fn inside(upper: &Path, path: &str) -> Option<std::fs::Metadata> {
    // The paths come from a walk of this directory that follows no links; neither does this.
    upper.join(path.trim_start_matches('/')).symlink_metadata().ok()
}

fn is_dir(upper: &Path, path: &str) -> bool {
    inside(upper, path).is_some_and(|meta| meta.is_dir())
}

fn is_executable(upper: &Path, change: &Change) -> bool {
    change.kind != ChangeKind::Deleted
        && inside(upper, &change.path).is_some_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}
