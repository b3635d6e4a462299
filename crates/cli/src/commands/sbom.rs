//! `stockade sbom`: what is inside, as a bill of materials.

use std::path::PathBuf;

use stockade_inventory::{Inventory, Options, SbomInfo, write_cyclonedx, write_spdx};

use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Table, warn};
use crate::scanner::{self, RemoteArgs, Spec};

/// Arguments of `stockade sbom`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An image or a path, as `stockade scan` takes it
    #[arg(value_name = "TARGET")]
    target: String,
    /// The format
    #[arg(short, long, value_enum, default_value_t = Format::Cyclonedx)]
    format: Format,
    /// The document that the build attached to the image, as it is
    #[arg(long)]
    attached: bool,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// CycloneDX 1.6, JSON
    Cyclonedx,
    /// SPDX 2.3, JSON
    Spdx,
    /// For people
    Table,
    /// The inventory as it is
    Json,
    /// How the image was built (in-toto, SLSA); with --attached
    Provenance,
}

/// Lists and writes.
pub fn run(args: Args, context: &Context) -> Outcome {
    if args.attached || args.format == Format::Provenance {
        return attached(&args, context);
    }
    let target = Spec::parse(context, &args.target).reached(&args.remote)?;
    args.remote.check(&[&target])?;
    let listing = scanner::list(context, &target, &Options::default())?;
    let info = SbomInfo {
        name: listing.target.name.clone(),
        version: listing.target.digest.clone().unwrap_or_default(),
        created: String::new(),
    };
    let mut bytes = Vec::new();
    match args.format {
        Format::Cyclonedx => write_cyclonedx(&listing.inventory, &info, &mut bytes)?,
        Format::Spdx => write_spdx(&listing.inventory, &info, &mut bytes)?,
        Format::Table => bytes = table(&listing.inventory).into_bytes(),
        Format::Json | Format::Provenance => {
            serde_json::to_writer_pretty(&mut bytes, &listing.inventory)?;
            bytes.push(b'\n');
        }
    }
    match &args.output {
        Some(path) => scanner::write_output(path, &bytes)?,
        None => output::to_stdout(&String::from_utf8_lossy(&bytes))?,
    }
    say_unknown(&listing.inventory);
    Ok(Exit::DONE)
}

/// What the build attached.
fn attached(args: &Args, context: &Context) -> Outcome {
    let kind = match args.format {
        Format::Cyclonedx => stockade_build::CYCLONEDX,
        Format::Spdx => stockade_build::SPDX,
        Format::Provenance => stockade_build::STATEMENT,
        Format::Table | Format::Json => {
            return Err(Failure::usage("--attached has the formats cyclonedx, spdx and provenance"));
        }
    };
    let store = super::images::open(context)?;
    let image = super::images::find(&store, &args.target)?;
    let Some(bytes) = store.attached(&image, kind)? else {
        return Err(Failure::new(format!("`{}` has no {kind} attached", args.target))
            .hint("images built by `stockade build` have; without --attached the list is made anew"));
    };
    match &args.output {
        Some(path) => scanner::write_output(path, &bytes)?,
        None => output::to_stdout(&String::from_utf8_lossy(&bytes))?,
    }
    Ok(Exit::DONE)
}

/// A list that is not whole must not look whole.
fn say_unknown(inventory: &Inventory) {
    const SHOWN: usize = 5;
    for unknown in inventory.unknown.iter().take(SHOWN) {
        let place = if unknown.path.is_empty() { String::new() } else { format!("{}: ", unknown.path) };
        warn(&output::printable(&format!("{place}{}", unknown.why)));
    }
    if let Some(more) = inventory.unknown.len().checked_sub(SHOWN).filter(|m| *m > 0) {
        warn(&format!("and {more} more things could not be read or decided"));
    }
}

fn table(inventory: &Inventory) -> String {
    let mut table = Table::new(["NAME", "VERSION", "TYPE", "LICENCES", "FILE"]).shrink(4);
    for p in &inventory.packages {
        let version = if p.version.is_empty() { "-" } else { &p.version };
        table.row([p.name.as_str(), version, p.kind.purl_type(), &p.licenses.join(", "), &p.path]);
    }
    table.render(output::terminal_width())
}
