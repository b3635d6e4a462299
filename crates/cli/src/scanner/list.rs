//! What is in a target, without judging: one function a kind of target.

use std::io::Read as _;
use std::path::Path;

use stockade_advisory::report::{Drift, LayerOrigin, Target};
use stockade_image::{Image, ImageConfig, Store};
use stockade_inventory::{
    EntryPoint, ImageFacts, Inventory, LayerInventory, MAX_SBOM_BYTES, Options, check_image, entry_files,
    entry_files_of, merge, read_layers, read_sbom, scan_config_secrets, scan_dir, scan_file, scan_layers, scan_source,
};

use super::{Spec, archive, container, daemon, layers, remote, streamed};
use crate::context::Context;
use crate::failure::Failure;

/// What was read of a target.
pub struct Listing {
    /// What it is.
    pub target: Target,
    /// What is in it.
    pub inventory: Inventory,
    /// Where its layers come from, lowest first.
    pub layers: Vec<LayerOrigin>,
    /// What a container changed.
    pub drift: Option<Drift>,
}

/// Lists what is in a target.
pub fn list(context: &Context, spec: &Spec, options: &Options) -> Result<Listing, Failure> {
    // Layers that are not unpacked go by once: what the entry point needs must be kept then.
    let streaming = &Options { startup: true, ..options.clone() };
    let (kind, name, inventory) = match spec {
        Spec::Image(name) => {
            let store = Store::open(&context.settings.dirs.root)?;
            let found = find_image(&store, name)?;
            return image(context, &store, &found, name, options);
        }
        Spec::Archive(path) if path == Path::new("-") => {
            return from_stream(context, std::io::stdin().lock(), "docker-archive:-", "archive", streaming);
        }
        Spec::Archive(path) => return from_archive(context, path, streaming),
        Spec::Docker(name) => return from_daemon(context, name, streaming),
        Spec::Registry(remote) => return remote::list(context, remote, streaming),
        Spec::Container(name) => return container::list(context, name, options),
        Spec::Sbom(path) => ("sbom", path, sbom(path)?),
        Spec::File(path) => ("file", path, scan_file(path, options)?),
        Spec::Root(path) => ("dir", path, scan_dir(path, options)?),
        Spec::Source(path) => ("fs", path, scan_source(path, options)?),
    };
    let target = Target { name: name.display().to_string(), kind: kind.to_owned(), ..Target::default() };
    Ok(Listing { target, inventory, layers: Vec::new(), drift: None })
}

/// Lists what is in an image of the store.
pub fn image(
    context: &Context,
    store: &Store,
    image: &Image,
    name: &str,
    options: &Options,
) -> Result<Listing, Failure> {
    let sources = store.layer_readers(image)?;
    let readers: Vec<_> = sources.iter().map(layers::source).collect();
    let cache = layers::Cache::new(context);
    let mut inventory = scan_layers(&readers, Some(&cache), options)?;
    let dirs: Option<Vec<&Path>> = sources.iter().map(|s| s.dir.as_deref()).collect();
    inventory.entry_files = dirs.and_then(|dirs| loaded_at_start(&image.config, &dirs));
    Ok(of_image(inventory, &image.config, target(name, "image", Some(image.id.to_string())), options))
}

/// The image of a name in the store.
pub fn find_image(store: &Store, name: &str) -> Result<Image, Failure> {
    store.resolve(name)?.ok_or_else(|| {
        Failure::new(format!("no image and no path is named `{name}`"))
            .hint("`stockade images` lists images; a directory is named `dir:PATH`, an archive `docker-archive:FILE`, an image elsewhere `registry:NAME` or `docker:NAME`")
    })
}

/// A target that is an image.
pub fn target(name: &str, kind: &str, digest: Option<String>) -> Target {
    Target { name: name.to_owned(), kind: kind.to_owned(), digest, ..Target::default() }
}

/// Puts an image's listing together: what its layers hold, and what its configuration shows.
pub fn of_image(mut inventory: Inventory, config: &ImageConfig, target: Target, options: &Options) -> Listing {
    look_at_config(&mut inventory, config, options);
    Listing { target, inventory, layers: layers::origins(config), drift: None }
}

/// The merged view of layers that came as streams, lowest first, and what the entry point loads of them.
pub fn merged(layers: &[LayerInventory], config: &ImageConfig, options: &Options) -> Inventory {
    let mut inventory = merge(layers, options);
    inventory.entry_files = entry_files_of(layers, &entry_point(config));
    inventory
}

/// The files that the entry point loads at its start; `layers` are unpacked ones, lowest first.
pub fn loaded_at_start(config: &ImageConfig, layers: &[&Path]) -> Option<Vec<String>> {
    entry_files(layers, &entry_point(config))
}

fn entry_point(config: &ImageConfig) -> EntryPoint<'_> {
    let config = &config.config;
    EntryPoint {
        entrypoint: config.entrypoint.as_deref().unwrap_or_default(),
        cmd: config.cmd.as_deref().unwrap_or_default(),
        env: &config.env,
        working_dir: &config.working_dir,
    }
}

/// Credentials and weaknesses of a configuration, where the options ask for them.
fn look_at_config(inventory: &mut Inventory, config: &ImageConfig, options: &Options) {
    let history: Vec<String> = config.history.iter().map(|h| h.created_by.clone().unwrap_or_default()).collect();
    if options.secrets {
        inventory.secrets.extend(scan_config_secrets(&config.config.env, &history));
        inventory.secrets.sort();
    }
    if options.checks {
        let health = config.config.healthcheck.as_ref();
        let facts = ImageFacts {
            user: config.config.user.clone(),
            has_healthcheck: health.is_some_and(|h| h.test.first().is_some_and(|t| t != "NONE")),
            exposed: config.config.exposed_ports.keys().cloned().collect(),
            env: config.config.env.clone(),
            history,
        };
        inventory.weaknesses.extend(check_image(&facts));
        inventory.weaknesses.sort();
    }
}

fn sbom(path: &Path) -> Result<Inventory, Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("cannot read `{}`: {e}", path.display()));
    let mut bytes = Vec::new();
    // One byte over the limit is enough for the reader to refuse it.
    std::fs::File::open(path).map_err(failed)?.take(MAX_SBOM_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(read_sbom(&bytes, &path.display().to_string())?)
}

fn from_archive(context: &Context, path: &Path, options: &Options) -> Result<Listing, Failure> {
    let image = archive::ArchivedImage::open(path)?;
    let cache = layers::Cache::new(context);
    let mut inventory = merged(&read_layers(&image.sources(), Some(&cache), options)?, &image.config, options);
    inventory.unknown.extend(image.unknown.iter().cloned());
    let target = target(&path.display().to_string(), "archive", image.id.clone());
    Ok(of_image(inventory, &image.config, target, options))
}

fn from_stream(
    context: &Context,
    stream: impl std::io::Read,
    name: &str,
    kind: &str,
    options: &Options,
) -> Result<Listing, Failure> {
    let read = streamed::read(stream, &layers::Cache::new(context), options)?;
    let target = target(name, kind, Some(read.id).filter(|id| !id.is_empty()));
    Ok(of_image(read.inventory, &read.config, target, options))
}

/// An image of a Docker daemon: what earlier scans know of its layers is not transferred again.
fn from_daemon(context: &Context, name: &str, options: &Options) -> Result<Listing, Failure> {
    let daemon = daemon::Daemon::find()?;
    let cache = layers::Cache::new(context);
    let known = daemon.image(name)?;
    let id = known.get("Id").and_then(serde_json::Value::as_str).unwrap_or_default();
    if let Some(config) = cache.config(id)
        && let Some(layers) = cache.layers(&config, options)
    {
        let inventory = merged(&layers, &config, options);
        return Ok(of_image(inventory, &config, target(name, "docker", Some(id.to_owned())), options));
    }
    let read = streamed::read(daemon.save(name)?, &cache, options)
        .map_err(|e| Failure::new(format!("{e} (from the Docker daemon at `{}`)", daemon.socket().display())))?;
    cache.keep_config(&read.id, &read.config);
    Ok(of_image(read.inventory, &read.config, target(name, "docker", Some(read.id)), options))
}
