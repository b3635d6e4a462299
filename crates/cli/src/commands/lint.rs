//! `stockade lint`

mod exploited;
mod fix;
mod pins;
mod lsp;
mod reports;
mod rules;
mod settings;
pub(super) mod views;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use stockade_lint::{Options, Report, Severity, lint};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

pub(super) use settings::for_directory;

/// Largest Dockerfile that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Arguments of `stockade lint`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In the file, before an instruction:\n  # hadolint ignore=DL3008,SC2046\n  # hadolint global ignore=DL3059\n  # stockade ignore=moving-tag reason=\"pinned by the mirror\"\n\n`.hadolint.yaml` is read from where hadolint reads it; flags win over it.\n\nExit codes: 0 nothing over the threshold, 1 something is, or a file could not be read, 2 wrong usage."
)]
pub struct Args {
    /// Dockerfiles; `-` is standard input [default: Dockerfile]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Leave out a rule: an id (unpinned-apt) or a reference (DL3008); replaces the list of the configuration
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Run a rule that is off by default
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    enable: Vec<String>,
    /// Give a rule the severity error
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    error: Vec<String>,
    /// Give a rule the severity warning
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    warning: Vec<String>,
    /// Give a rule the severity info
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    info: Vec<String>,
    /// Give a rule the severity style
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    style: Vec<String>,
    /// Registries that base images may come from (all others are findings)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    trusted_registry: Vec<String>,
    /// A label that must be there, with its type: text, url, rfc3339, semver, hash, spdx or email
    #[arg(long, value_name = "NAME:TYPE")]
    require_label: Vec<String>,
    /// Labels that are not required are findings
    #[arg(long)]
    strict_labels: bool,
    /// Exit with 1 from this severity on; `none` never does [default: info]
    #[arg(short = 't', long, value_name = "SEVERITY")]
    failure_threshold: Option<Threshold>,
    /// Exit with 0 whatever is found
    #[arg(long)]
    no_fail: bool,
    /// Ignore comments in the file count for nothing
    #[arg(long)]
    disable_ignore_pragma: bool,
    /// hadolint's configuration [default: .hadolint.yaml, if it is there]; before the verb, --config is Stockade's own
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer as hadolint does where we differ on purpose: its rules only, read its way
    #[arg(long)]
    as_hadolint: bool,
    /// Ask the machine's `shellcheck` about the scripts, too, and add what it finds beyond our rules
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "shellcheck",
        conflicts_with_all = ["as_hadolint", "fix"])]
    shellcheck: Option<PathBuf>,
    /// Mend what can be mended mechanically, in the files themselves
    #[arg(long)]
    fix: bool,
    /// With --fix: give packages of apt-get the versions that the distribution's archive has now
    #[arg(long, requires = "fix")]
    pin: bool,
    /// With --fix: show what would change, and change nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// Put files back as they were before the last --fix, byte for byte
    #[arg(long, conflicts_with = "fix")]
    undo: bool,
    /// With --undo: overwrite files that were changed since the fix
    #[arg(long, requires = "undo")]
    force: bool,
    /// Explain a rule
    #[arg(long, value_name = "ID", conflicts_with_all = ["files", "fix", "undo", "list", "lsp"])]
    explain: Option<String>,
    /// List all rules
    #[arg(long)]
    list: bool,
    /// Be a language server on standard input and output
    #[arg(long, conflicts_with_all = ["files", "fix", "undo", "list"])]
    lsp: bool,
    /// Output format [default: text]
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    format: Option<Format>,
    /// Name of the file in reports (for one that comes from standard input)
    #[arg(long, value_name = "PATH")]
    file_path_in_report: Option<String>,
    /// Write the report to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Never colour (NO_COLOR does the same)
    #[arg(long)]
    no_color: bool,
}

/// Output formats; hadolint's names are aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// With the line and carets
    #[value(alias = "tty")]
    Text,
    /// stockade.lint/v1
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Checkstyle XML
    Checkstyle,
    /// Code Climate: JSON objects with a NUL after each
    Codeclimate,
    /// GitLab code quality: a JSON array
    #[value(alias = "gitlab_codeclimate")]
    Gitlab,
    /// GitHub workflow annotations
    Github,
    /// FILE:LINE:COLUMN: message, as compilers write it
    Gnu,
    /// JUnit XML
    Junit,
    /// SonarQube's generic issues
    Sonarqube,
    /// With --list: the page of rules
    Markdown,
}

/// The lowest severity that makes the command fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Threshold {
    Error,
    Warning,
    Info,
    Style,
    #[value(alias = "ignore")]
    None,
}

impl Threshold {
    pub(super) fn reached(self, severity: Severity) -> bool {
        match self {
            Threshold::Error => severity <= Severity::Error,
            Threshold::Warning => severity <= Severity::Warning,
            Threshold::Info => severity <= Severity::Info,
            Threshold::Style => true,
            Threshold::None => false,
        }
    }
}

/// One file's result.
pub(super) struct Linted {
    /// As it is called in reports.
    pub name: String,
    /// What was read.
    pub text: String,
    /// What was found.
    pub report: Report,
}

impl Linted {
    /// Checks bytes.
    pub fn new(bytes: &[u8], name: &str, options: &Options) -> Linted {
        let report = lint(bytes, name, options);
        Linted { name: name.to_owned(), text: String::from_utf8_lossy(bytes).into_owned(), report }
    }
}

/// Lints, mends, explains, lists, or serves an editor.
pub fn run(args: Args, context: &Context) -> Outcome {
    if let Some(id) = &args.explain {
        return rules::explain(id);
    }
    if args.list {
        return rules::list(args.format.unwrap_or(Format::Text));
    }
    if args.undo {
        return fix::undo(&args.files, args.force, context);
    }
    let settings = settings::of(&args)?;
    if args.lsp {
        return lsp::serve(settings.options, context);
    }
    let files = if args.files.is_empty() { vec![PathBuf::from("Dockerfile")] } else { args.files.clone() };
    if args.fix {
        return fix::fix(&args, &settings, &files, context);
    }
    let mut results = Vec::new();
    for path in &files {
        results.push(one(path, &args, &settings.options, context)?);
    }
    for linted in &results {
        for complaint in &linted.report.unused_ignores {
            output::warn(&format!("{}: {complaint}", linted.name));
        }
    }
    let style = if settings.color && args.output.is_none() { output::Style::stdout() } else { output::Style::plain() };
    let report = views::render(settings.format, &results, style)?;
    match &args.output {
        None => output::to_stdout(&report)?,
        Some(path) => std::fs::write(path, report)
            .map_err(|e| Failure::new(format!("cannot write `{}`: {e}", path.display())))?,
    }
    let failed = results.iter().any(|l| {
        l.report.diagnostics.errors().next().is_some()
            || l.report.findings.iter().any(|f| settings.threshold.reached(f.severity))
    });
    Ok(if failed && !settings.no_fail { Exit::FAILED } else { Exit::DONE })
}

/// Takes `--config FILE` out of a command line of `lint` where it stands before the verb: there it names Stockade's own
/// configuration as with every verb, behind it hadolint's. Other command lines stay as they are.
pub fn before_verb(arguments: Vec<OsString>) -> (Vec<OsString>, Option<PathBuf>) {
    let takes_value = |a: &OsString| a == "--config" || a == "--root" || a == "--run-root";
    let mut verb = 1;
    let mut found = None;
    while let Some(argument) = arguments.get(verb).filter(|a| a.as_encoded_bytes().starts_with(b"-")) {
        let joined = argument.to_str().and_then(|a| a.strip_prefix("--config=")).map(PathBuf::from);
        let length = 1 + usize::from(takes_value(argument));
        let separate = arguments.get(verb + 1).filter(|_| argument == "--config").map(PathBuf::from);
        if let Some(path) = joined.or(separate) {
            found = Some((verb..verb + length, path));
        }
        verb += length;
    }
    match found {
        Some((place, path)) if arguments.get(verb).is_some_and(|v| v == "lint") => {
            let kept = arguments.into_iter().enumerate().filter(|(i, _)| !place.contains(i));
            (kept.map(|(_, a)| a).collect(), Some(path))
        }
        _ => (arguments, None),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    result.map_err(|e| Failure::new(format!("cannot read `{}`: {e}", path.display())))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::new(format!("cannot lint `{}`: longer than {} MiB", path.display(), MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

fn one(path: &Path, args: &Args, options: &Options, context: &Context) -> Result<Linted, Failure> {
    let name = match &args.file_path_in_report {
        Some(name) => name.clone(),
        None if path == Path::new("-") => "stdin".to_owned(),
        None => path.display().to_string(),
    };
    let bytes = read(path)?;
    let mut linted = if exploited::wanted(options) {
        let exploited = exploited::of(&bytes, &name, context)?;
        Linted::new(&bytes, &name, &Options { exploited, ..options.clone() })
    } else {
        Linted::new(&bytes, &name, options)
    };
    match linted.report.shellcheck_failed.take() {
        None => Ok(linted),
        Some(error) => Err(Failure::from(error)
            .hint("apt-get install shellcheck, or leave out --shellcheck: our own rules need no other program")),
    }
}
