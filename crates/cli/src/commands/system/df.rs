//! `stockade system df`

use serde_json::{Value, json};
use stockade_engine::Engine;
use stockade_image::{Store, StoreUsage};

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Table;
use crate::{go_template, human, output};

/// Arguments of `stockade system df`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Every image, container and volume
    #[arg(short, long)]
    verbose: bool,
    /// `json`, `table TEMPLATE` or a Go template
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
    format: Option<String>,
}

/// One line of the summary.
struct Line {
    kind: &'static str,
    total: u64,
    active: u64,
    bytes: u64,
    reclaimable: u64,
}

/// A container or volume: name, bytes, whether something uses it.
type Item = (String, u64, bool);

/// Shows what takes how much disk.
pub fn run(args: &Args, context: &Context) -> Outcome {
    let store = Store::open(&context.settings.dirs.root)?;
    let engine = engine(context)?;
    let images = store.usage()?;
    let containers = containers(&engine)?;
    let volumes = volumes(&engine)?;
    if args.verbose {
        return verbose(&images, &containers, &volumes);
    }
    let lines = [
        Line {
            kind: "Images",
            total: images.images.len() as u64,
            active: images.images.iter().filter(|i| i.holders > 0).count() as u64,
            bytes: images.bytes,
            reclaimable: images.reclaimable,
        },
        of_items("Containers", &containers),
        of_items("Local Volumes", &volumes),
        cache(&store)?,
    ];
    let rows: Vec<Value> = lines.iter().map(row).collect();
    if let Some(format) = args.format.as_deref().filter(|f| *f != "table") {
        output::to_stdout(&go_template::render_rows(format, &rows)?)?;
        return Ok(Exit::DONE);
    }
    let mut table = Table::new(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for row in &rows {
        let fields = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
        table.row(fields.map(|f| row.get(f).and_then(Value::as_str).unwrap_or_default().to_owned()));
    }
    table.print()?;
    Ok(Exit::DONE)
}

/// Docker's names of the columns.
fn row(line: &Line) -> Value {
    let percent = (line.reclaimable * 100).checked_div(line.bytes).unwrap_or(0);
    json!({
        "Type": line.kind,
        "TotalCount": line.total.to_string(),
        "Active": line.active.to_string(),
        "Size": human::size(line.bytes),
        "Reclaimable": format!("{} ({percent}%)", human::size(line.reclaimable)),
    })
}

fn of_items(kind: &'static str, items: &[Item]) -> Line {
    Line {
        kind,
        total: items.len() as u64,
        active: items.iter().filter(|(_, _, used)| *used).count() as u64,
        bytes: items.iter().map(|(_, bytes, _)| bytes).sum(),
        reclaimable: items.iter().filter(|(_, _, used)| !used).map(|(_, bytes, _)| bytes).sum(),
    }
}

fn containers(engine: &Engine) -> Result<Vec<Item>, Failure> {
    let records = engine.list()?.0.into_iter();
    Ok(records.map(|r| (r.name, engine.own_bytes(&r.spec.id), r.state.status.is_live())).collect())
}

fn volumes(engine: &Engine) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    for volume in engine.volumes()? {
        let used = !engine.volume_users(&volume.name)?.is_empty();
        items.push((volume.name, stockade_engine::disk_bytes(&volume.mountpoint), used));
    }
    Ok(items)
}

/// The build cache: entries with what only they keep, cache mounts, downloaded packages.
fn cache(store: &Store) -> Result<Line, Failure> {
    let entries = store.cache_entries()?;
    let extras: u64 = stockade_build::extras(store.root()).iter().map(|extra| extra.bytes).sum();
    let mut seen = std::collections::HashSet::new();
    // A layer that several entries keep counts once.
    let own = entries.iter().filter(|e| e.pins.is_empty() || e.pins.iter().any(|pin| seen.insert(*pin)));
    let bytes = own.map(|e| e.bytes).sum::<u64>() + extras;
    Ok(Line {
        kind: "Build Cache",
        total: entries.len() as u64,
        active: entries.iter().filter(|e| e.in_use).count() as u64,
        bytes,
        reclaimable: bytes,
    })
}

fn verbose(images: &StoreUsage, containers: &[Item], volumes: &[Item]) -> Outcome {
    let mut table =
        Table::new(["REPOSITORY", "TAG", "IMAGE ID", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]);
    for usage in &images.images {
        let name = usage.image.names.first().cloned().unwrap_or_else(|| "<none>:<none>".to_owned());
        let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, ""));
        table.row([
            repository,
            tag,
            &usage.image.id.short(),
            &human::size(usage.shared + usage.unique),
            &human::size(usage.shared),
            &human::size(usage.unique),
            &usage.holders.to_string(),
        ]);
    }
    let width = output::terminal_width();
    let mut text = format!("Images space usage:\n\n{}", table.render(width));
    for (title, header, items) in
        [("Containers", "CONTAINER", containers), ("Local Volumes", "VOLUME NAME", volumes)]
    {
        let mut table = Table::new([header, "SIZE", "IN USE"]);
        for (name, bytes, used) in items {
            table.row([name.clone(), human::size(*bytes), used.to_string()]);
        }
        text.push_str(&format!("\n{title} space usage:\n\n{}", table.render(width)));
    }
    output::to_stdout(&text)?;
    Ok(Exit::DONE)
}
