//! `stockade watch`: what changes while nobody looks. Today that is the advisory database.

use std::path::PathBuf;
use std::time::Duration;

use stockade_advisory::report::ScanReport;
use stockade_image::Store;

use super::db;
use super::scan::news_line;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::scanner::{self, ScanOptions};
use crate::{Outcome, human, output};

/// Arguments of `stockade watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Match the stored images again whenever the advisory database changes, and say what is new for each
    #[command(after_help = "Layers are not read again: what earlier scans found in them is kept. An image that is looked at for the first \
        time gets a line with its number of findings. Ends with SIGINT or SIGTERM.")]
    Db(Watch),
}

#[derive(Debug, clap::Args)]
struct Watch {
    /// Time between two looks: `30m`, `6h`
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = every)]
    every: Duration,
    /// Look once and end, as a timer's job; what was told is remembered
    #[arg(long)]
    once: bool,
    /// With --once: exit with this code when something is new
    #[arg(long, value_name = "N", default_value_t = 0, requires = "once")]
    exit_code: u8,
    /// Update the database before each look, from the sources of stockade.toml; --from names others
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    sources: db::Update,
    /// `table`: a line for people; `json`: a document in each line (`stockade.watch-db/v1`)
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

fn every(text: &str) -> Result<Duration, String> {
    match human::parse_duration_ms(text)? {
        0..1000 => Err("at least a second must lie between two looks".to_owned()),
        ms => Ok(Duration::from_millis(ms)),
    }
}

/// Watches.
pub fn run(args: Args, context: &Context) -> Outcome {
    let Verb::Db(args) = args.verb;
    if args.once {
        let news = look(&args, context)?;
        return Ok(if news > 0 && args.exit_code != 0 { Exit(args.exit_code) } else { Exit::DONE });
    }
    loop {
        // What fails now, a registry of facts or a disk, may work at the next look.
        if let Err(failure) = look(&args, context) {
            if failure.is_broken_pipe() {
                return Err(failure);
            }
            output::warn(&failure.to_string());
        }
        std::thread::sleep(args.every);
    }
}

/// Which database the last look was told of.
fn told(context: &Context) -> PathBuf {
    context.settings.dirs.root.join("cache").join("watched-db")
}

/// Updates if that is wanted, and matches all images again if the facts are others than at the last look. Output: how
/// many vulnerabilities are new.
fn look(args: &Watch, context: &Context) -> Result<usize, Failure> {
    if args.update || args.sources.names_sources() {
        match db::renew(&args.sources, context) {
            Ok(lines) => lines.iter().for_each(|line| output::to_stderr(&format!("{line}\n"))),
            Err(failure) => output::warn(&format!("the database was not updated: {failure}")),
        }
    }
    let database = scanner::open_database(context, None)?;
    let digest = database.reader()?.digest();
    let told = told(context);
    if std::fs::read_to_string(&told).is_ok_and(|last| last == digest) {
        return Ok(0);
    }
    let store = Store::open(&context.settings.dirs.root)?;
    let mut news = 0;
    for image in store.list()? {
        let name = image.names.first().cloned().unwrap_or_else(|| image.id.to_string());
        match scanner::scan_image(context, &store, &image, &name, &database, &ScanOptions::default()) {
            Ok(report) => news += say(&report, args.format)?,
            // It may have been removed meanwhile; others are still to be looked at.
            Err(failure) => output::warn(&format!("{name}: {failure}")),
        }
    }
    stockade_durable::create_private_dir(told.parent().unwrap_or(&told))?;
    stockade_durable::write_volatile(&told, digest.as_bytes(), 0o600)?;
    Ok(news)
}

/// Says what is new for an image, or that it was not known before. Output: how many vulnerabilities are new.
fn say(report: &ScanReport, format: Format) -> Result<usize, Failure> {
    let open = report.open_findings().count();
    let added = report.news.as_ref().map_or(0, |news| news.added.len());
    match (format, &report.news) {
        (Format::Json, news) => output::to_stdout(&format!(
            "{}\n",
            serde_json::json!({
                "schema": "stockade.watch-db/v1",
                "image": report.target.name,
                "id": report.target.digest,
                "database": report.database.built,
                "findings": open,
                "unknown": report.unknown.len(),
                "news": news,
            })
        ))?,
        (Format::Table, Some(_)) => {
            if let Some(line) = news_line(report) {
                output::to_stdout(&line)?;
            }
        }
        (Format::Table, None) => {
            let line = format!("{}: looked at for the first time, {open} findings", report.target.name);
            output::to_stdout(&format!("{}\n", output::printable(&line)))?;
        }
    }
    Ok(added)
}
