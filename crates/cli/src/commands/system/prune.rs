//! `stockade system prune`

use stockade_image::Store;

use super::super::images::{ImageFilters, failure};
use super::super::{container, image};
use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::Exit;
use crate::{human, output};

/// Arguments of `stockade system prune`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// All images that no container uses, not only those without a name, and all of the build cache
    #[arg(short, long)]
    all: bool,
    /// Anonymous volumes that no container uses, too
    #[arg(long)]
    volumes: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=24h, label=a=b
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Removes what nothing uses.
pub fn run(args: &Args, context: &Context) -> Outcome {
    let store = Store::open(&context.settings.dirs.root)?;
    let filters = ImageFilters::new(&args.filter, &store)?;
    let images = if args.all { "all images that no container uses" } else { "all images without a name" };
    let volumes = if args.volumes { ", all anonymous volumes that no container uses" } else { "" };
    container::confirm(
        args.force,
        &format!("This removes all stopped containers{volumes}, {images} and the unused build cache"),
    )?;
    context.need_root("removing containers")?;
    let engine = engine(context)?;
    let (containers, mut bytes) = container::prune_stopped(&engine, &args.filter)?;
    let mut text = section("Deleted Containers", &containers);
    if args.volumes {
        let (names, freed) = engine.volume_prune(false)?;
        text.push_str(&section("Deleted Volumes", &names));
        bytes += freed;
    }
    let pruned =
        store.prune_where(|found| (args.all || found.names.is_empty()) && filters.fit(found)).map_err(failure)?;
    text.push_str(&section("Deleted Images", &image::lines(&pruned)));
    bytes += pruned.bytes;
    // Cache entries have no age or labels that a filter could ask for; with one they stay.
    if args.filter.is_empty() {
        let cache = store.cache_prune(true, 0)?;
        let gone: Vec<String> = cache.deleted.iter().map(ToString::to_string).collect();
        text.push_str(&section("Deleted build cache objects", &gone));
        bytes += cache.bytes;
        if args.all {
            bytes += stockade_build::remove_extras(store.root())?;
        }
    }
    output::to_stdout(&format!("{text}Total reclaimed space: {}\n", human::size(bytes)))?;
    Ok(Exit::DONE)
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("{title}:\n{}\n\n", lines.join("\n")) }
}
