//! `stockade build`

pub mod base;
mod flags;
mod progress;
mod report;
mod source;
mod specs;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use stockade_build::{BuildError, BuildOutcome, BuildRequest, Builder, CancelToken};
use stockade_config::{ProcessEnvironment, Settings};
use stockade_engine::StepStream;
use stockade_image::{Image, Store};
use stockade_registry::{Client, Options, PushOptions};
use stockade_sandbox::process::Signals;

use super::lint;
use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::scanner;
use crate::transfer::{Transfer, Way};

use super::image::minimize::{TraceArgs, of_build};
use flags::Flags;
use progress::Progress;

/// Arguments of `stockade build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// The build context: a directory, the URL of a Git repository (`URL#REF:DIR`) or of a tar archive, or `-` for a
    /// Dockerfile or a tar archive on standard input
    #[arg(value_name = "PATH")]
    path: String,
    /// Keep only the files that the image's own command, or those of --minimize-run, open in a traced run
    #[arg(long)]
    minimize: bool,
    /// With --minimize: a command to trace instead, with its arguments in one word; may be repeated
    #[arg(long, value_name = "CMD", requires = "minimize")]
    minimize_run: Vec<String>,
    /// With --minimize: keep this path whatever the trace says
    #[arg(long, value_name = "PATH", requires = "minimize")]
    minimize_keep: Vec<String>,
}

/// SIGHUP, SIGINT, SIGTERM: each ends a build.
const ENDING: [i32; 3] = [1, 2, 15];

/// Builds an image.
pub fn run(args: Args, context: &Context) -> Outcome {
    args.flags.refuse_unsupported()?;
    if args.flags.check() {
        return check(&args);
    }
    let mut request = args.flags.request()?;
    context.need_root("building an image")?;
    if let Some(note) = stockade_engine::single_id_note() {
        output::to_stderr(&format!("warning: {note}\n"));
    }
    // Signals become events before any thread exists, so that all threads have them blocked.
    let signals = Signals::block(&ENDING).ok();
    let engine = engine(context)?;
    let store = engine.store()?;
    // Lives as long as the build: an archive from standard input is in it.
    let staging = source::read(&args.path, args.flags.file.as_deref(), &store, &mut request)?;
    let settings = match &request.context {
        stockade_build::BuildContext::Dir(dir) => context.settings.with_project(dir, &ProcessEnvironment)?,
        _ => context.settings.clone(),
    };
    let cancel = CancelToken::new()?;
    request.cancel = Some(cancel.clone());
    let interrupted = signals.map(|signals| watch(signals, cancel));
    let progress = Progress::new(args.flags.progress_kind(std::io::stderr().is_terminal()));
    let inventory = scanner::layers::Cache::new(context);
    let trace = TraceArgs::of(args.minimize_run.clone(), args.minimize_keep.clone());
    let minimized = Mutex::new(String::new());
    let reduce = |image: &Image, out: &mut dyn FnMut(StepStream, &[u8])| {
        let (image, words) = of_build(context, &store, image, &trace, out).map_err(|e| e.to_string())?;
        *minimized.lock().unwrap_or_else(PoisonError::into_inner) = words;
        Ok(image)
    };
    let mut builder = Builder::new(&store, &engine, &settings).with_inventory(&inventory);
    if args.minimize {
        builder = builder.with_reduce(&reduce);
    }
    let result = if args.flags.check_reproducible {
        builder.check_reproducible(&request, &progress).map(|(outcome, found)| (outcome, Some(found)))
    } else {
        builder.build(&request, &progress).map(|outcome| (outcome, None))
    };
    progress.close();
    drop(staging);
    match result {
        Ok((outcome, found)) => {
            output::to_stderr(&minimized.lock().unwrap_or_else(PoisonError::into_inner));
            let exit = done(&args, &request, &outcome, &store)?;
            if args.flags.pushes()? {
                push(&request, &outcome, &store, &settings, args.flags.quiet)?;
            }
            found.map_or(Ok(exit), |found| report::reproduction(&found))
        }
        Err(BuildError::Cancelled) if interrupted.is_some_and(|i| i.load(std::sync::atomic::Ordering::SeqCst) > 0) => {
            output::to_stderr("\nthe build was cancelled; what was finished stays in the cache\n");
            Ok(Exit(130))
        }
        Err(error) => report::failure(error, progress.shows_output()),
    }
}

/// Cancels the build at the first signal; at the second, this process ends at once.
fn watch(signals: Signals, cancel: CancelToken) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    use rustix::event::{PollFd, PollFlags, poll};
    use std::os::fd::AsFd;
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    std::thread::spawn(move || {
        loop {
            let mut fds = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
            if poll(&mut fds, None).is_err_and(|e| e != rustix::io::Errno::INTR) {
                return;
            }
            while let Ok(Some(_)) = signals.next_signal() {
                if counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
                    std::process::exit(130);
                }
                cancel.cancel();
            }
        }
    });
    count
}

/// Warnings of the parser that rules of `lint` say too, with a name to switch them off by.
const SAID_BY_RULES: [&str; 3] = ["maintainer-deprecated", "legacy-key-value", "empty-continuation"];

/// Errors are what a build would refuse; what `lint` finds is shown as warnings, and fails nothing.
fn check(args: &Args) -> Outcome {
    let (bytes, name) = source::dockerfile_only(&args.path, args.flags.file.as_deref())?;
    let build_args = args.flags.build_args()?;
    match stockade_build::check(&bytes, &name, &build_args, args.flags.target.as_deref()) {
        Ok(warnings) => {
            let context = Path::new(&args.path);
            let rules = lint::for_directory(if context.is_dir() { context } else { Path::new("") })?;
            let mut linted = lint::Linted::new(&bytes, &name, &rules);
            // An error is what a build refuses.
            for finding in &mut linted.report.findings {
                finding.severity = finding.severity.max(stockade_lint::Severity::Warning);
            }
            for warning in warnings.items.iter().filter(|w| !SAID_BY_RULES.contains(&w.code)) {
                output::to_stderr(&warning.render(&warnings.file, &warnings.text));
            }
            for complaint in &linted.report.unused_ignores {
                output::warn(&format!("{name}: {complaint}"));
            }
            output::to_stderr(&lint::views::text(&linted, output::Style::stderr()));
            let found = match linted.report.findings.len() {
                0 => String::new(),
                1 => ", 1 warning".to_owned(),
                n => format!(", {n} warnings"),
            };
            output::to_stdout(&format!("{name}: no errors{found}\n"))?;
            Ok(Exit::DONE)
        }
        Err(error) => report::failure(error, true),
    }
}

fn done(args: &Args, request: &BuildRequest, outcome: &BuildOutcome, store: &Store) -> Outcome {
    let Some(image) = &outcome.image else {
        if let Some(path) = &args.flags.metadata_file {
            write(path, b"{}\n")?;
        }
        return Ok(Exit::DONE);
    };
    let from_stdin = args.path == "-" || args.flags.file.as_deref() == Some("-");
    crate::recipe::record(store, &image.id, from_stdin);
    if let Some(path) = &args.flags.iidfile {
        write(path, image.id.to_string().as_bytes())?;
    }
    if let Some(path) = &args.flags.metadata_file {
        let names: Vec<String> = request.tags.iter().map(|t| t.clone().or_latest().canonical()).collect();
        let mut facts = serde_json::json!({
            "containerimage.config.digest": image.id,
            "containerimage.descriptor": {
                "mediaType": image.manifest.media_type,
                "digest": image.manifest_digest,
                "size": store.blob_size(&image.manifest_digest),
            },
            "containerimage.digest": image.manifest_digest,
            "image.name": names.join(","),
        });
        if let (Some(provenance), Some(facts)) = (&outcome.provenance, facts.as_object_mut()) {
            facts.insert("buildx.build.provenance".to_owned(), provenance.clone());
        }
        let mut text = serde_json::to_string_pretty(&facts)?;
        text.push('\n');
        write(path, text.as_bytes())?;
    }
    if args.flags.quiet {
        output::to_stdout(&format!("{}\n", image.id))?;
        return Ok(Exit::DONE);
    }
    let mut text = format!("Successfully built {}\n", image.id.short());
    for tag in &outcome.tags {
        text.push_str(&format!("Successfully tagged {tag}\n"));
    }
    output::to_stdout(&text)?;
    Ok(Exit::DONE)
}

/// Pushes the image under each of its names.
fn push(
    request: &BuildRequest,
    outcome: &BuildOutcome,
    store: &Store,
    settings: &Settings,
    quiet: bool,
) -> Result<(), Failure> {
    let Some(image) = &outcome.image else { return Ok(()) };
    let client = Client::new(Options::new(settings, &ProcessEnvironment));
    for name in &request.tags {
        let progress = Transfer::new(Way::Out, quiet);
        let pushed = client.push(store, image, name, &PushOptions::default(), &progress)?;
        client.push_attached(store, image, name, &pushed, &progress)?;
        drop(progress);
        if !quiet {
            let name = name.clone().or_latest();
            output::to_stdout(&format!("pushed {name}: digest: {} size: {}\n", pushed.digest, pushed.size))?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::new(format!("cannot write `{}`: {e}", path.display())))
}
