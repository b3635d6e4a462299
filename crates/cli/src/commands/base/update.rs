//! `stockade base update`

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde::Serialize;
use stockade_advisory::{Severity, Status};
use stockade_base::{BaseRequest, MirrorChoice, Present, present};
use stockade_image::{Image, Reference, Store};
use stockade_inventory::{Options, PackageKind};

use super::super::build::base::make;
use super::super::images::find;
use super::standing::Standing;
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Table};
use crate::recipe::{self, Recipe};
use crate::scanner::{self, ScanOptions, Spec};

/// Packages named in a line of the table; the rest is counted.
const NAMED: usize = 3;

/// Arguments of `stockade base update`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Make outdated bases anew, and rebuild the images that have updates
    #[arg(long)]
    apply: bool,
    /// Do not count findings before and after
    #[arg(long)]
    no_scan: bool,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Only these images [default: all with a name]
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    applied: bool,
    images: Vec<Row>,
}

/// One image.
#[derive(Debug, Serialize)]
struct Row {
    image: String,
    base: String,
    /// Day of the archive that it was made from.
    as_of: String,
    state: State,
    /// Why the state is `unknown` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Packages of the image that the archive has newer.
    waiting: Vec<Waiting>,
    /// Whether `--apply` can rebuild it: its build is known.
    rebuildable: bool,
    findings: Option<Findings>,
    /// After the rebuild.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings_after: Option<Findings>,
    #[serde(skip)]
    work: Option<Work>,
}

/// What is needed to rebuild.
#[derive(Debug)]
struct Work {
    image: Image,
    standing: Standing,
    recipe: Option<Recipe>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// The archive has nothing newer for it.
    Current,
    /// Newer versions of its packages are in the archive.
    Outdated,
    /// It was rebuilt.
    Updated,
    /// Rebuilding failed.
    Failed,
    /// The archive could not be read.
    Unknown,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Current => "current",
            State::Outdated => "outdated",
            State::Updated => "updated",
            State::Failed => "failed",
            State::Unknown => "unknown",
        }
    }
}

#[derive(Debug, Serialize)]
struct Waiting {
    package: String,
    installed: String,
    available: String,
}

/// Vulnerabilities that are known to affect an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Findings {
    total: usize,
    critical: usize,
    high: usize,
}

/// Compares images with the archives that their bases come from; with `--apply`, rebuilds.
pub fn run(args: &Args, context: &Context) -> Outcome {
    let store = Store::open(&context.settings.dirs.root)?;
    let images = match args.images.is_empty() {
        true => store.list()?.into_iter().filter(|image| !image.names.is_empty()).collect(),
        false => args.images.iter().map(|name| find(&store, name)).collect::<Result<Vec<_>, _>>()?,
    };
    let everything: Vec<_> = store.list()?.iter().map(|image| image.id).collect();
    recipe::sweep(&store, &everything);
    let mut archives = BTreeMap::new();
    let mut rows = Vec::new();
    for image in images {
        if let Some(row) = look(context, &store, image, &mut archives, args)? {
            rows.push(row);
        }
    }
    // Bases first, then what was built first: an image may stand on another one.
    rows.sort_by_key(|row| row.work.as_ref().map(|w| (!w.standing.is_base, w.image.created.clone())));
    if args.apply {
        apply(context, &store, &mut rows, args)?;
    }
    let exit = match () {
        () if rows.iter().any(|row| row.state == State::Failed) => Exit::FAILED,
        () if rows.iter().any(|row| row.state == State::Unknown) => Exit::UNDECIDED,
        () => Exit::DONE,
    };
    let report = Report { schema: "stockade.base-update/v1", applied: args.apply, images: rows };
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => show(&report)?,
    }
    Ok(exit)
}

/// Archives by base name; the error is for people.
type Archives = BTreeMap<String, Result<Present, String>>;

/// `None` for an image that stands on nothing of ours.
fn look(
    context: &Context,
    store: &Store,
    image: Image,
    archives: &mut Archives,
    args: &Args,
) -> Result<Option<Row>, Failure> {
    let Some(standing) = Standing::of(&image) else { return Ok(None) };
    let recipe = Recipe::of(store, &image.id);
    let base = standing.name.canonical();
    let archive = archives.entry(base.clone()).or_insert_with(|| read(context, store, &standing));
    let mut row = Row {
        image: standing.image.clone(),
        base,
        as_of: standing.date.clone(),
        state: State::Current,
        why: None,
        waiting: Vec::new(),
        rebuildable: recipe.is_some() || standing.is_base,
        findings: None,
        findings_after: None,
        work: None,
    };
    match archive {
        Err(why) => (row.state, row.why) = (State::Unknown, Some(why.clone())),
        Ok(archive) if !archive.is_newer_than(&image.config.config.labels) && standing.is_base => {}
        Ok(archive) => {
            row.waiting = waiting(context, &image, archive)?;
            if !row.waiting.is_empty() {
                row.state = State::Outdated;
            }
        }
    }
    if !args.no_scan {
        row.findings = Some(findings(context, store, &image)?);
    }
    row.work = Some(Work { image, standing, recipe });
    Ok(Some(row))
}

fn read(context: &Context, store: &Store, standing: &Standing) -> Result<Present, String> {
    let mirror = &context.settings.mirror;
    let cache = store.root().join("build/archive");
    let mut request = BaseRequest::new(standing.name.clone(), cache, std::path::PathBuf::new());
    request.keyring = mirror.keyring.clone();
    request.mirror = MirrorChoice {
        flag: None,
        config_debian: mirror.debian.clone(),
        config_debian_security: mirror.debian_security.clone(),
        config_ubuntu: mirror.ubuntu.clone(),
    };
    present(&request).map_err(|e| Failure::from(e).to_string())
}

/// Packages of the distribution that the archive has newer, by name.
fn waiting(context: &Context, image: &Image, archive: &Present) -> Result<Vec<Waiting>, Failure> {
    let listing = scanner::list(context, &Spec::Image(image.id.to_string()), &Options::default())?;
    let mut found = Vec::new();
    for package in listing.inventory.packages.iter().filter(|p| p.kind == PackageKind::Deb) {
        if let Some(available) = archive.newer(&package.name, &package.version)? {
            found.push(Waiting { package: package.name.clone(), installed: package.version.clone(), available });
        }
    }
    found.sort_by(|a, b| a.package.cmp(&b.package));
    found.dedup_by(|a, b| a.package == b.package);
    Ok(found)
}

fn findings(context: &Context, store: &Store, image: &Image) -> Result<Findings, Failure> {
    let database = scanner::open_database(context, None)?;
    let name = image.names.first().cloned().unwrap_or_else(|| image.id.short());
    let report = scanner::scan_image(context, store, image, &name, &database, &ScanOptions::default())?;
    let affected = || report.findings.iter().filter(|f| f.status == Status::Affected);
    Ok(Findings {
        total: affected().count(),
        critical: affected().filter(|f| f.severity == Severity::Critical).count(),
        high: affected().filter(|f| f.severity == Severity::High).count(),
    })
}

fn apply(context: &Context, store: &Store, rows: &mut [Row], args: &Args) -> Result<(), Failure> {
    context.need_root("rebuilding images")?;
    let quiet = args.format == Format::Json;
    let mut bases: BTreeMap<String, Result<(), String>> = BTreeMap::new();
    for row in rows.iter_mut().filter(|row| row.state == State::Outdated) {
        let Some(work) = &row.work else { continue };
        let base = bases.entry(row.base.clone()).or_insert_with(|| {
            make(context, &row.base, None, true, quiet).map_err(|f| f.to_string())
        });
        let rebuilt = match (base, &work.recipe) {
            (Err(why), _) => Err(format!("the base cannot be made: {why}")),
            (Ok(()), _) if work.standing.is_base => follow(store, &work.image, &row.base),
            (Ok(()), Some(recipe)) => rebuild(store, recipe, &work.image),
            (Ok(()), None) => Err("how it was built is not known: build it again by hand".to_owned()),
        };
        match rebuilt {
            Err(why) => (row.state, row.why) = (State::Failed, Some(why)),
            Ok(image) => {
                row.state = State::Updated;
                if !args.no_scan {
                    row.findings_after = Some(findings(context, store, &image)?);
                }
            }
        }
    }
    Ok(())
}

/// Moves the other names of an old base to the new one.
fn follow(store: &Store, old: &Image, base: &str) -> Result<Image, String> {
    let failed = |e: stockade_image::ImageError| Failure::from(e).to_string();
    let fresh = store.resolve(base).map_err(failed)?.ok_or_else(|| format!("`{base}` is not in the store"))?;
    rename(store, old, &fresh)
}

/// Builds as it was built, from the same place.
fn rebuild(store: &Store, recipe: &Recipe, old: &Image) -> Result<Image, String> {
    if !recipe.directory.is_dir() {
        return Err(format!("the directory of its build is gone: `{}`", recipe.directory.display()));
    }
    let program = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    // Standard output is this command's own.
    let status = Command::new(program)
        .args(recipe.again())
        .current_dir(&recipe.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("cannot start the build: {e}"))?;
    if !status.success() {
        return Err(format!("the build failed ({status})"));
    }
    let failed = |e: stockade_image::ImageError| Failure::from(e).to_string();
    let id = recipe.newest(store).ok_or("the build made no image")?;
    let fresh = store.get(&id).map_err(failed)?.ok_or("the image that the build made is gone")?;
    rename(store, old, &fresh)
}

/// Gives the new image every name that the old one had.
fn rename(store: &Store, old: &Image, fresh: &Image) -> Result<Image, String> {
    let failed = |e: stockade_image::ImageError| Failure::from(e).to_string();
    for name in old.names.iter().filter(|name| !fresh.names.contains(name)) {
        store.tag(&fresh.id, &Reference::parse(name).map_err(failed)?).map_err(failed)?;
    }
    store.get(&fresh.id).map_err(failed)?.ok_or_else(|| "the new image is gone".to_owned())
}

fn show(report: &Report) -> Result<(), Failure> {
    let mut table = Table::new(["IMAGE", "BASE", "AS OF", "STATE", "FINDINGS", "UPDATES"]).shrink(5);
    for row in &report.images {
        let findings = match (row.findings, row.findings_after) {
            (Some(before), Some(after)) => format!("{} -> {}", words(before), words(after)),
            (Some(before), None) => words(before),
            (None, _) => String::new(),
        };
        let updates = match &row.why {
            Some(why) => why.clone(),
            None => named(&row.waiting),
        };
        table.row([row.image.as_str(), &row.base, &row.as_of, row.state.word(), &findings, &updates]);
    }
    table.print()?;
    let outdated = || report.images.iter().filter(|row| row.state == State::Outdated);
    if outdated().any(|row| row.rebuildable) {
        output::to_stderr("  hint: `stockade base update --apply` rebuilds what is outdated\n");
    }
    for row in outdated().filter(|row| !row.rebuildable) {
        output::warn(&format!("how `{}` was built is not known here: build it again by hand", row.image));
    }
    Ok(())
}

fn words(findings: Findings) -> String {
    match findings {
        Findings { critical: 0, high: 0, total } => total.to_string(),
        Findings { critical: 0, high, total } => format!("{total} ({high} high)"),
        Findings { critical, high, total } => format!("{total} ({critical} critical, {high} high)"),
    }
}

fn named(waiting: &[Waiting]) -> String {
    let shown: Vec<String> =
        waiting.iter().take(NAMED).map(|w| format!("{} {} -> {}", w.package, w.installed, w.available)).collect();
    let rest = waiting.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(", {rest} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
