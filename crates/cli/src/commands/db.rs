//! `stockade db`: the advisory database: what is in it, how old it is, and how it gets newer.

use std::path::PathBuf;

use stockade_advisory::{Database, DatabaseStatus, Origin};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::scanner;
use crate::scanner::database;
use crate::{Outcome, failure::Exit};

/// Arguments of `stockade db`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show sources, age, coverage and licences
    Status(Status),
    /// Add facts from files or directories; what is there stays
    #[command(after_help = FORMATS)]
    Update(Update),
    /// Make a database file from files or directories, without changing the one in use
    #[command(after_help = FORMATS)]
    Build(Build),
    /// Write the database in use to a file, to carry it over an air gap (`db update --from FILE` reads it)
    Export(Export),
    /// Remove the updated database and use the built-in one again
    Reset,
}

const FORMATS: &str = "Formats, told by content, also inside ZIP archives and gzip files: OSV records (all ecosystems, GitHub, Ubuntu, \
    AlmaLinux, Rocky …), Debian tracker JSON, secdb of Alpine, Wolfi and Chainguard, Arch issues JSON, CSAF and VEX of Red Hat and \
    SUSE, OVAL of Ubuntu, Red Hat, Oracle and SUSE, updateinfo.xml of RPM repositories, NVD JSON 2.0 (ratings), CISA's exploited vulnerabilities, EPSS CSV, and databases made by `db export` or `db build`.";

#[derive(Debug, clap::Args)]
struct Status {
    /// Use this database instead of the one in use
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// `table` or `json`
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// File or directory to read; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    from: Vec<PathBuf>,
    /// Refuse a single input file that has another SHA-256
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Build {
    /// File or directory to read; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    from: Vec<PathBuf>,
    /// Start from the built-in facts instead of from nothing
    #[arg(long)]
    with_builtin: bool,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// The file to write
    #[arg(value_name = "FILE")]
    output: PathBuf,
}

/// Does what the verb says.
pub fn run(args: Args, context: &Context) -> Outcome {
    match args.verb {
        Verb::Status(args) => status(&args, context),
        Verb::Update(args) => update(&args, context),
        Verb::Build(args) => build(&args),
        Verb::Export(args) => export(&args, context),
        Verb::Reset => reset(context),
    }
}

fn status(args: &Status, context: &Context) -> Outcome {
    let database = scanner::open_database(context, args.db.as_deref())?;
    let status = database.status()?;
    match args.format {
        Format::Json => output::json(&status)?,
        Format::Table => show(&status)?,
    }
    Ok(Exit::DONE)
}

fn show(status: &DatabaseStatus) -> Result<(), Failure> {
    let origin = match &status.origin {
        Origin::BuiltIn => "built into this program".to_owned(),
        Origin::File(path) => path.clone(),
    };
    let mut text = format!(
        "Database: {origin}\nNewest fact or update: {}\nSize: {}\nDigest: {}\nKnown to be exploited: {}\nExploit predictions: {}\n\n",
        status.built,
        crate::human::size(status.bytes as u64),
        status.digest,
        status.known_exploited,
        status.epss
    );
    let mut sources = Table::new(["SOURCE", "RECORDS", "AS OF", "REACHES", "UNFIXED", "LICENCE"]).shrink(5);
    for s in &status.sources {
        let until = s.covers_until.as_deref().unwrap_or(&s.as_of);
        let unfixed = if s.knows_unfixed { "known" } else { "not known" };
        sources.row([s.name.as_str(), &s.records.to_string(), &s.as_of, until, unfixed, &s.licence]);
    }
    text.push_str(&sources.render(output::terminal_width()));
    let mut coverage = Table::new(["ECOSYSTEM", "RECORDS", "REACHES", "UNFIXED", "SOURCES"]).shrink(4);
    for e in &status.ecosystems {
        let unfixed = if e.knows_unfixed { "known" } else { "not known" };
        coverage.row([e.ecosystem.as_str(), &e.records.to_string(), &e.until, unfixed, &e.sources.join(", ")]);
    }
    text.push('\n');
    text.push_str(&coverage.render(output::terminal_width()));
    text.push_str("\nThe facts are the work of:\n");
    for s in &status.sources {
        text.push_str(&format!("  {}: {} ({}), {}\n", s.name, s.attribution, s.licence, s.url));
    }
    output::to_stdout(&output::printable_lines(&text))
}

fn update(args: &Update, context: &Context) -> Outcome {
    let path = database::installed_path(context);
    let parent = path.parent().unwrap_or(&path).to_owned();
    stockade_durable::create_private_dir(&parent)?;
    let _lock = stockade_durable::Lock::exclusive(&parent.join("lock"))?;
    let in_use = scanner::open_database(context, None)?;
    let input = database::Input::read(&args.from, args.sha256.as_deref())?;
    let (file, summary) = input.into_file(Some(&in_use))?;
    // Readers see the old file or the new one; a failure before this line changes nothing.
    stockade_durable::write(&path, &file, 0o644)?;
    for line in &summary {
        output::to_stdout(&format!("{line}\n"))?;
    }
    let status = scanner::open_database(context, None)?.status()?;
    let records: u32 = status.sources.iter().map(|s| s.records).sum();
    output::to_stdout(&format!(
        "the database now has {records} records of {} sources, the newest of {}\n",
        status.sources.len(),
        status.built
    ))?;
    Ok(Exit::DONE)
}

fn build(args: &Build) -> Outcome {
    let input = database::Input::read(&args.from, None)?;
    let base = args.with_builtin.then(Database::embedded);
    let (file, summary) = input.into_file(base.as_ref())?;
    scanner::write_output(&args.output, &file)?;
    for line in summary {
        output::to_stdout(&format!("{line}\n"))?;
    }
    Ok(Exit::DONE)
}

fn export(args: &Export, context: &Context) -> Outcome {
    let database = scanner::open_database(context, None)?;
    let reader = database.reader()?;
    reader.verify()?;
    scanner::write_output(&args.output, reader.bytes())?;
    output::to_stdout(&format!("{}  {}\n", database::sha256(reader.bytes()), args.output.display()))?;
    Ok(Exit::DONE)
}

fn reset(context: &Context) -> Outcome {
    let path = database::installed_path(context);
    match std::fs::remove_file(&path) {
        Ok(()) => output::to_stdout("the built-in database is in use again\n")?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            output::to_stdout("the built-in database was in use already\n")?;
        }
        Err(e) => return Err(Failure::new(format!("cannot remove `{}`: {e}", path.display()))),
    }
    Ok(Exit::DONE)
}
