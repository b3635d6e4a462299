//! `stockade image diff`

use std::collections::BTreeMap;

use serde::Serialize;
use stockade_image::diff::{ChangeKind, ConfigChange, FileChange, config_changes};
use stockade_inventory::Options;

use super::super::images::{find, open};
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::scanner::{self, Spec};
use crate::{human, output};

/// Arguments of `stockade image diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The first image
    #[arg(value_name = "IMAGE")]
    before: String,
    /// The second image
    #[arg(value_name = "IMAGE")]
    after: String,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Packages,
    Config,
    Files,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// What is different.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    before: Side,
    after: Side,
    /// Layers that both images begin with.
    shared_layers: usize,
    packages: Vec<PackageChange>,
    config: Vec<ConfigChange>,
    files: Vec<FileChange>,
}

#[derive(Debug, Serialize)]
struct Side {
    name: String,
    id: String,
    size: u64,
    layers: usize,
}

#[derive(Debug, Serialize)]
struct PackageChange {
    change: ChangeKind,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    before: Vec<String>,
    after: Vec<String>,
}

/// Shows what is different between two images.
pub fn run(args: &Args, context: &Context) -> Outcome {
    let store = open(context)?;
    let (before, after) = (find(&store, &args.before)?, find(&store, &args.after)?);
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let side = |name: &str, image: &stockade_image::Image| Side {
        name: name.to_owned(),
        id: image.id.to_string(),
        size: image.size,
        layers: image.config.rootfs.diff_ids.len(),
    };
    let layers = before.config.rootfs.diff_ids.iter().zip(&after.config.rootfs.diff_ids);
    let report = Report {
        schema: "stockade.image-diff/v1",
        before: side(&args.before, &before),
        after: side(&args.after, &after),
        shared_layers: layers.take_while(|(a, b)| a == b).count(),
        packages: if wants(Part::Packages) { packages(context, args)? } else { Vec::new() },
        config: if wants(Part::Config) { config_changes(&before, &after)? } else { Vec::new() },
        files: if wants(Part::Files) { store.file_changes(&before, &after)? } else { Vec::new() },
    };
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => output::to_stdout(&words(&report))?,
    }
    Ok(Exit::DONE)
}

/// Versions by kind and name.
type Versions = BTreeMap<(String, String), Vec<String>>;

fn packages(context: &Context, args: &Args) -> Result<Vec<PackageChange>, Failure> {
    let (a, b) = (versions(context, &args.before)?, versions(context, &args.after)?);
    let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let mut changes = Vec::new();
    for key in keys {
        let (before, after) = (a.get(key).cloned().unwrap_or_default(), b.get(key).cloned().unwrap_or_default());
        if before == after {
            continue;
        }
        let change = match (before.is_empty(), after.is_empty()) {
            (true, _) => ChangeKind::Added,
            (_, true) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        };
        changes.push(PackageChange { change, name: key.1.clone(), kind: key.0.clone(), before, after });
    }
    Ok(changes)
}

fn versions(context: &Context, name: &str) -> Result<Versions, Failure> {
    let listing = scanner::list(context, &Spec::Image(name.to_owned()), &Options::default())?;
    let mut versions = Versions::new();
    for package in listing.inventory.packages {
        versions.entry((package.kind.purl_type().to_owned(), package.name)).or_default().push(package.version);
    }
    for list in versions.values_mut() {
        list.sort();
        list.dedup();
    }
    Ok(versions)
}

fn words(report: &Report) -> String {
    let mut text = format!(
        "{}: {} in {} layers\n{}: {} in {} layers, the first {} the same\n",
        report.before.name,
        human::size(report.before.size),
        report.before.layers,
        report.after.name,
        human::size(report.after.size),
        report.after.layers,
        report.shared_layers,
    );
    if !report.packages.is_empty() {
        text.push_str("\nPackages:\n");
    }
    for p in &report.packages {
        let versions = [&p.before, &p.after].map(|v| v.join(" "));
        let versions = match p.change {
            ChangeKind::Changed => versions.join(" -> "),
            _ => versions.concat(),
        };
        text.push_str(&format!("  {} {} {versions}\n", p.change.letter(), output::printable(&p.name)));
    }
    if !report.config.is_empty() {
        text.push_str("\nConfiguration:\n");
    }
    for c in &report.config {
        let line = match (c.before.is_null(), c.after.is_null()) {
            (true, _) => format!("A {} {}", c.key, c.after),
            (_, true) => format!("D {} {}", c.key, c.before),
            _ => format!("C {} {} -> {}", c.key, c.before, c.after),
        };
        text.push_str(&format!("  {}\n", output::printable(&line)));
    }
    if !report.files.is_empty() {
        text.push_str("\nFiles:\n");
    }
    for f in &report.files {
        let sizes = match f.change {
            ChangeKind::Changed if f.before != f.after => {
                format!(", {} -> {}", human::size(f.before), human::size(f.after))
            }
            _ => String::new(),
        };
        let what = if f.what.is_empty() { String::new() } else { format!(" ({}{sizes})", f.what.join(", ")) };
        text.push_str(&format!("  {} {}{what}\n", f.change.letter(), output::printable(&f.path)));
    }
    if report.packages.is_empty() && report.config.is_empty() && report.files.is_empty() {
        text.push_str("no difference\n");
    }
    text
}
