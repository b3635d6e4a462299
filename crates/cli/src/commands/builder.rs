//! `stockade builder`: the build cache.

use stockade_image::{CacheEntry, Store};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Table;
use crate::{Outcome, human, output};

/// Arguments of `stockade builder`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)] // one is made in a process
enum Verb {
    /// Build an image
    Build(super::build::Args),
    /// Show what the build cache holds
    Du {
        /// Every entry, with its step
        #[arg(short, long)]
        verbose: bool,
    },
    /// Remove the build cache
    Prune {
        /// Also what images use, cache mounts, and downloaded packages
        #[arg(short, long)]
        all: bool,
        /// Do not ask
        #[arg(short, long)]
        force: bool,
        /// Keep this much, the most recently used
        #[arg(long, visible_aliases = ["max-used-space", "reserved-space"], value_name = "SIZE")]
        keep_storage: Option<String>,
    },
}

/// Runs the verb.
pub fn run(args: Args, context: &Context) -> Outcome {
    let store = || Store::open(&context.settings.dirs.root).map_err(Failure::from);
    match args.verb {
        Verb::Build(args) => super::build::run(args, context),
        Verb::Du { verbose } => usage(&store()?, verbose),
        Verb::Prune { all, force, keep_storage } => {
            let keep = keep_storage.map(|t| human::parse_bytes(&t)).transpose().map_err(Failure::usage)?;
            if !force && !confirmed(all)? {
                return Ok(Exit::DONE);
            }
            prune(&store()?, all, keep.unwrap_or(0))
        }
    }
}

fn usage(store: &Store, verbose: bool) -> Outcome {
    let mut entries = store.cache_entries()?;
    entries.sort_by_key(|e| std::cmp::Reverse(e.last_used));
    let mut table = Table::new(["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"]);
    if verbose {
        table = Table::new(["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "STEP"]).shrink(4);
    }
    // Small entries without a layer are times of images: they would only fill the table.
    for entry in entries.iter().filter(|e| !e.pins.is_empty()) {
        let mut row = vec![
            entry.key.chars().take(12).collect(),
            (!entry.in_use).to_string(),
            human::size(entry.bytes),
            jiff::Timestamp::from_second(entry.last_used).map(human::ago).unwrap_or_default(),
        ];
        if verbose {
            row.push(step(store, entry));
        }
        table.row(row);
    }
    table.print()?;
    let cache: u64 = entries.iter().map(|e| e.bytes).sum();
    let mut total = cache;
    let mut text = format!("\nLayers:\t\t{}\n", human::size(cache));
    for extra in stockade_build::extras(store.root()) {
        total += extra.bytes;
        let mut kind = extra.kind.to_owned();
        if let Some(first) = kind.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text.push_str(&format!("{kind}:\t{}\n", human::size(extra.bytes)));
    }
    text.push_str(&format!("Total:\t\t{}\n", human::size(total)));
    output::to_stdout(&text)?;
    Ok(Exit::DONE)
}

/// The instruction that an entry is the result of.
fn step(store: &Store, entry: &CacheEntry) -> String {
    let value = store.cache_get(&entry.key).and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok());
    value.and_then(|v| v.get("step").and_then(|s| s.as_str()).map(str::to_owned)).unwrap_or_default()
}

fn confirmed(all: bool) -> Result<bool, Failure> {
    let what = if all {
        "all build cache, cache mounts and downloaded packages"
    } else {
        "all build cache that no image uses"
    };
    output::to_stderr(&format!("WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn prune(store: &Store, all: bool, keep: u64) -> Outcome {
    let pruned = store.cache_prune(all, keep)?;
    let mut freed = pruned.bytes;
    if all {
        freed += stockade_build::remove_extras(store.root())?;
    }
    output::to_stdout(&format!("Total reclaimed space: {}\n", human::size(freed)))?;
    Ok(Exit::DONE)
}
