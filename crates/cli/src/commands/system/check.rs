//! `stockade system check`

use std::collections::HashSet;

use serde::Serialize;
use stockade_engine::Engine;
use stockade_image::{Checked, Damage, Depth, Digest, Repair, Store};

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// Passes of `--fix`: what is mended may bring to light what stood behind it.
const MAX_PASSES: usize = 4;

/// Arguments of `stockade system check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read every byte: hash all blobs, compare unpacked layers with them
    #[arg(long)]
    deep: bool,
    /// Mend what can be mended, remove what is damaged beyond it
    #[arg(long)]
    fix: bool,
    /// Look at the running kernel instead: known holes, missing defences, and what closes them
    #[arg(long, conflicts_with_all = ["deep", "fix"])]
    kernel: bool,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// What the check found, and what was done about it.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    deep: bool,
    images: u64,
    blobs: u64,
    layers: u64,
    containers: u64,
    damages: Vec<Found>,
    /// What `--fix` did, in order.
    fixed: Vec<String>,
}

/// A damage, and why it stayed after `--fix`.
#[derive(Debug, Serialize)]
struct Found {
    #[serde(flatten)]
    damage: Damage,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_fixed: Option<String>,
}

/// Checks everything; with `--fix`, mends and checks again.
pub fn run(args: Args, context: &Context) -> Outcome {
    if args.kernel {
        return super::kernel::run(args.format == Format::Json);
    }
    let store = Store::open(&context.settings.dirs.root)?;
    let engine = engine(context)?;
    let depth = if args.deep { Depth::Deep } else { Depth::Quick };
    let (mut checked, mut containers) = look(&store, &engine, depth)?;
    let mut fixed = Vec::new();
    let mut stayed: Vec<(Damage, String)> = Vec::new();
    for _ in 0..MAX_PASSES {
        if !args.fix || checked.damages.is_empty() {
            break;
        }
        stayed.clear();
        let before = fixed.len();
        mend(&store, &engine, &checked.damages, &mut fixed, &mut stayed)?;
        (checked, containers) = look(&store, &engine, depth)?;
        if fixed.len() == before {
            break;
        }
    }
    let why_not = |damage: &Damage| stayed.iter().find(|(d, _)| d == damage).map(|(_, why)| why.clone());
    let damages: Vec<Found> =
        checked.damages.iter().map(|d| Found { not_fixed: why_not(d), damage: d.clone() }).collect();
    let report = Report {
        schema: "stockade.system-check/v1",
        deep: args.deep,
        images: checked.images,
        blobs: checked.blobs,
        layers: checked.layers,
        containers,
        damages,
        fixed,
    };
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => show(&report, args.fix)?,
    }
    Ok(if report.damages.is_empty() { Exit::DONE } else { Exit::FAILED })
}

/// The store's damages, then the containers'.
fn look(store: &Store, engine: &Engine, depth: Depth) -> Result<(Checked, u64), Failure> {
    let mut checked = store.check(depth)?;
    let (records, damaged) = engine.list()?;
    for error in damaged {
        checked.damages.push(Damage {
            what: "a container".into(),
            why: Failure::from(error).to_string(),
            advice: "remove it with `stockade rm -f`; its files are below `containers` in the store".into(),
            repair: Repair::Nothing,
        });
    }
    let leases = store.leases()?;
    for record in &records {
        let leased = leases.iter().any(|lease| lease.holder == record.spec.id);
        // A container that was removed since the list was made keeps nothing.
        if leased || record.spec.image.is_empty() || engine.find(&record.spec.id).is_err() {
            continue;
        }
        checked.damages.push(Damage {
            what: format!("container {}", record.name),
            why: "it holds no lease on its image: removing the image would take its files away".into(),
            advice: "let --fix take the lease, or make the container anew".into(),
            repair: Repair::Nothing,
        });
    }
    Ok((checked, records.len() as u64))
}

fn mend(
    store: &Store,
    engine: &Engine,
    damages: &[Damage],
    fixed: &mut Vec<String>,
    stayed: &mut Vec<(Damage, String)>,
) -> Result<(), Failure> {
    engine.gc();
    let (records, _) = engine.list()?;
    let leases = store.leases()?;
    for record in &records {
        if leases.iter().any(|lease| lease.holder == record.spec.id) {
            continue;
        }
        if let Some(image) = record.spec.image.parse().ok().and_then(|id: Digest| store.get(&id).ok().flatten()) {
            store.use_image(&image, &record.spec.id)?;
            fixed.push(format!("took the lease of container {} on its image", record.name));
        }
    }
    let live: HashSet<&str> =
        records.iter().filter(|r| r.state.status.is_live()).map(|r| r.spec.image.as_str()).collect();
    let busy: HashSet<Digest> = live
        .iter()
        .filter_map(|id| store.get(&id.parse::<Digest>().ok()?).ok().flatten())
        .flat_map(|image| image.config.rootfs.diff_ids)
        .collect();
    for damage in damages {
        match store.repair(damage, &|layer| busy.contains(layer)) {
            Ok(Some(done)) => fixed.push(done),
            Ok(None) => stayed.push((damage.clone(), "a person must decide".to_owned())),
            Err(e) => stayed.push((damage.clone(), Failure::from(e).to_string())),
        }
    }
    Ok(())
}

fn show(report: &Report, fix: bool) -> Result<(), Failure> {
    let mut text = String::new();
    for done in &report.fixed {
        text.push_str(&format!("fixed: {}\n", output::printable(done)));
    }
    for found in &report.damages {
        let damage = &found.damage;
        text.push_str(&format!("{}: {}\n", output::printable(&damage.what), output::printable(&damage.why)));
        let advice = match &found.not_fixed {
            Some(why) => format!("not fixed ({why}): {}", damage.advice),
            None => damage.advice.clone(),
        };
        text.push_str(&format!("  {}\n", output::printable(&advice)));
    }
    let (images, blobs, layers, containers) = (report.images, report.blobs, report.layers, report.containers);
    let looked = if report.deep { "every byte of" } else { "the structure of" };
    let verdict = match report.damages.len() {
        0 => "all is well".to_owned(),
        1 => "1 damage".to_owned(),
        n => format!("{n} damages"),
    };
    text.push_str(&format!(
        "checked {looked} {images} images, {blobs} blobs, {layers} unpacked layers, {containers} containers: {verdict}\n"
    ));
    output::to_stdout(&text)?;
    if !report.damages.is_empty() && !fix {
        output::to_stderr("  hint: `stockade system check --fix` mends what it can and removes what is damaged\n");
    }
    Ok(())
}
