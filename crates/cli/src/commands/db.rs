//! `stockade db`: the advisory database: what is in it, how old it is, and how it gets newer.

use std::path::{Path, PathBuf};

use stockade_advisory::signing::SigningKey;
use stockade_advisory::{Database, DatabaseStatus, Origin};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::scanner;
use crate::scanner::inputs::{self, Input, State, Wanted};
use crate::scanner::{database, serve};
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
    /// Add facts from files, directories or URLs; what is there stays, and what did not change is not read again
    #[command(after_help = FORMATS)]
    Update(Update),
    /// Make a database file from files, directories or URLs, without changing the one in use
    #[command(after_help = FORMATS)]
    Build(Build),
    /// Write the database in use to a file, to carry it over an air gap (`db update --from FILE` reads it)
    Export(Export),
    /// Serve the database in use over HTTP, for `db update --from http://…` of other machines
    Serve(Serve),
    /// Make a key that signs databases, and print its public half, a line for a file of trusted keys
    Key(Key),
    /// Remove the updated database and use the built-in one again
    Reset,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7890")]
    listen: std::net::SocketAddr,
    /// Sign what is served with this key of `db key`
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Key {
    /// The file for the private key; it must not exist
    #[arg(value_name = "KEYFILE")]
    output: PathBuf,
    /// Whose it is, for the public line
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
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

/// What an update reads, and whom it believes.
#[derive(Debug, clap::Args)]
pub struct Update {
    /// File, directory or URL (`https://…`, also with `#sha256=HEX`) to read; may be given several times. Without it:
    /// `sources` under `[db]` in stockade.toml
    #[arg(long, value_name = "PATH|URL")]
    from: Vec<String>,
    /// Refuse a single input file that has another SHA-256
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// File of trusted public keys: a whole database must be signed by one of them. Without it: `keys` under `[db]`, else
    /// `db/trusted-keys` below the root, if there is one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Take whole databases without a trusted signature, and plain HTTP without a digest
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
}

#[derive(Debug, clap::Args)]
struct Build {
    /// File, directory or URL to read; may be given several times
    #[arg(long, value_name = "PATH|URL", required = true)]
    from: Vec<String>,
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
    /// Sign it with this key of `db key`; the signature goes to FILE.sig
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
}

/// Does what the verb says.
pub fn run(args: Args, context: &Context) -> Outcome {
    match args.verb {
        Verb::Status(args) => status(&args, context),
        Verb::Update(args) => update(&args, context),
        Verb::Build(args) => build(&args),
        Verb::Export(args) => export(&args, context),
        Verb::Serve(args) => {
            let key = args.sign.as_deref().map(signing_key).transpose()?;
            serve::serve(context, args.listen, key).map(|()| Exit::DONE)
        }
        Verb::Key(args) => make_key(&args),
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
    for line in renew(args, context)? {
        output::to_stdout(&format!("{line}\n"))?;
    }
    Ok(Exit::DONE)
}

impl Update {
    /// Whether anything to read is named.
    pub fn names_sources(&self) -> bool {
        !self.from.is_empty()
    }
}

/// Renews the database in use. Output: lines that say what was read.
/// # Errors
/// When anything cannot be read or believed; the database is then the one before.
pub fn renew(args: &Update, context: &Context) -> Result<Vec<String>, Failure> {
    let path = database::installed_path(context);
    let parent = path.parent().unwrap_or(&path).to_owned();
    stockade_durable::create_private_dir(&parent)?;
    let _lock = stockade_durable::Lock::exclusive(&parent.join("lock"))?;
    let in_use = scanner::open_database(context, None)?;
    let from = if args.from.is_empty() { &context.settings.db.sources } else { &args.from };
    if from.is_empty() {
        return Err(Failure::usage("nothing to read: give --from, or `sources` under [db] in stockade.toml")
            .hint("OSV's archives, for example, are https://osv-vulnerabilities.storage.googleapis.com/ECOSYSTEM/all.zip"));
    }
    let trusted = inputs::trusted_keys(context, args.key.as_deref())?;
    let wanted = Wanted { from, sha256: args.sha256.as_deref(), trusted: &trusted, unsigned: args.unsigned };
    let mut state = State::load(&parent, &in_use.reader()?.digest());
    let Some((file, mut lines)) = Input::read(&wanted, &parent, &mut state)?.into_file(Some(&in_use))? else {
        return Ok(vec!["nothing has changed since the last update".to_owned()]);
    };
    // Readers see the old file or the new one; a failure before this line changes nothing.
    stockade_durable::write(&path, &file, 0o644)?;
    let now_in_use = scanner::open_database(context, None)?;
    state.save(&parent, now_in_use.reader()?.digest());
    let status = now_in_use.status()?;
    let records: u32 = status.sources.iter().map(|s| s.records).sum();
    lines.push(format!(
        "the database now has {records} records of {} sources, the newest of {}",
        status.sources.len(),
        status.built
    ));
    Ok(lines)
}

fn build(args: &Build) -> Outcome {
    let base = args.with_builtin.then(Database::embedded);
    let wanted = Wanted { from: &args.from, ..Wanted::default() };
    let directory = std::env::temp_dir();
    let read = Input::read(&wanted, &directory, &mut State::default())?.into_file(base.as_ref())?;
    let (file, summary) = read.ok_or_else(|| Failure::new("nothing was read"))?;
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
    let key = args.sign.as_deref().map(signing_key).transpose()?;
    scanner::write_output(&args.output, reader.bytes())?;
    if let Some(key) = key {
        let mut beside = args.output.clone().into_os_string();
        beside.push(".sig");
        scanner::write_output(beside.as_ref(), key.sign(reader.bytes()).as_bytes())?;
    }
    output::to_stdout(&format!("{}  {}\n", database::sha256(reader.bytes()), args.output.display()))?;
    Ok(Exit::DONE)
}

fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    SigningKey::parse(&inputs::read_text(path)?).map_err(|e| Failure::usage(format!("`{}`: {e}", path.display())))
}

fn make_key(args: &Key) -> Outcome {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let (key, text) = SigningKey::generate().map_err(|e| Failure::new(e.to_string()))?;
    let failed = |e: std::io::Error| Failure::new(format!("cannot make `{}`: {e}", args.output.display()));
    let mut file =
        std::fs::File::options().write(true).create_new(true).mode(0o600).open(&args.output).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    output::to_stdout(&format!("{} {}\n", key.public().line(), output::printable(&args.comment)))?;
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
