//! Transfers from and to registries as a person sees them: bars on a terminal, one line for each change elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use stockade_config::ProcessEnvironment;
use stockade_image::{Digest, Reference};
use stockade_registry::{BlobState, Client, Options, Progress};

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// What every registry verb takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct RegistryArgs {
    /// Speak plain HTTP with this registry; it is asked for on every machine, also for localhost
    #[arg(long, value_name = "HOST[:PORT]")]
    insecure_registry: Vec<String>,
}

impl RegistryArgs {
    /// A client that goes by settings, environment and these arguments.
    pub fn client(&self, context: &Context) -> Client {
        let mut options = Options::new(&context.settings, &ProcessEnvironment);
        options.insecure.extend(self.insecure_registry.iter().cloned());
        Client::new(options)
    }
}

/// Reads an image name as registries know it.
pub fn reference(text: &str) -> Result<Reference, Failure> {
    Ok(Reference::parse(text)?)
}

/// Which way the bytes go; decides the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From a registry.
    In,
    /// To a registry.
    Out,
}

/// Shows a transfer on stderr.
pub struct Transfer {
    way: Way,
    quiet: bool,
    bars: Option<MultiProgress>,
    shown: Mutex<HashMap<Digest, Blob>>,
}

struct Blob {
    size: u64,
    bar: Option<ProgressBar>,
    /// The last line that was printed for it, so that none is printed twice.
    said: String,
}

impl Transfer {
    /// Bars if stderr is a terminal; nothing but warnings if `quiet`.
    pub fn new(way: Way, quiet: bool) -> Transfer {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        let bars = (terminal && !quiet).then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Transfer { way, quiet, bars, shown: Mutex::default() }
    }

    fn words(&self, state: &BlobState) -> String {
        match (state, self.way) {
            (BlobState::Queued(_) | BlobState::Waiting, Way::Out) => "Waiting".to_owned(),
            (BlobState::Queued(_), Way::In) => "Pulling".to_owned(),
            (BlobState::Waiting, Way::In) => "Waiting for another pull".to_owned(),
            (BlobState::Transfer(..), Way::In) => "Downloading".to_owned(),
            (BlobState::Transfer(..), Way::Out) => "Pushing".to_owned(),
            (BlobState::Unpacking, _) => "Unpacking".to_owned(),
            (BlobState::Exists, Way::In) => "Already exists".to_owned(),
            (BlobState::Exists, Way::Out) => "Layer already exists".to_owned(),
            (BlobState::Mounted(from), _) => format!("Mounted from {from}"),
            (BlobState::Retrying(why), _) => format!("Retrying: {why}"),
            (BlobState::Done, Way::In) => "Pull complete".to_owned(),
            (BlobState::Done, Way::Out) => "Pushed".to_owned(),
        }
    }

    fn new_blob(&self, digest: &Digest, size: u64) -> Blob {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(size));
            bar.set_style(style("{prefix}: {wide_msg}"));
            bar.set_prefix(digest.short());
            bar
        });
        Blob { size, bar, said: String::new() }
    }

    /// A line that stays, above the bars.
    fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(line)),
            None => output::to_stderr(&format!("{line}\n")),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Transfer {
    fn blob(&self, digest: &Digest, state: BlobState) {
        if self.quiet {
            return;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let BlobState::Queued(size) = state {
            shown.entry(*digest).or_insert_with(|| self.new_blob(digest, size));
        }
        // Documents are small and nobody waits for them: only what was announced is shown.
        let Some(blob) = shown.get_mut(digest) else { return };
        let words = output::printable(&self.words(&state));
        let changed = blob.said != words;
        if let Some(bar) = &blob.bar {
            show_on(bar, &state, &words, changed, blob.size);
        } else if changed && !matches!(state, BlobState::Transfer(..) | BlobState::Unpacking) {
            output::to_stderr(&format!("{}: {words}\n", digest.short()));
        }
        if changed {
            blob.said = words;
        }
    }

    fn note(&self, text: &str) {
        let style = output::Style::stderr();
        self.say(&format!("{} {}", style.yellow("warning:"), output::printable(text)));
    }
}

fn show_on(bar: &ProgressBar, state: &BlobState, words: &str, changed: bool, size: u64) {
    if changed {
        let moving = matches!(state, BlobState::Transfer(..));
        bar.set_style(style(if moving {
            "{prefix}: {msg:12} [{bar:40}] {bytes}/{total_bytes}"
        } else {
            "{prefix}: {wide_msg}"
        }));
        bar.set_message(words.to_owned());
    }
    match state {
        BlobState::Transfer(done, total) => {
            bar.set_length(*total);
            bar.set_position(*done);
        }
        BlobState::Done | BlobState::Exists | BlobState::Mounted(_) => {
            bar.set_length(size);
            bar.abandon();
        }
        _ => {}
    }
}
