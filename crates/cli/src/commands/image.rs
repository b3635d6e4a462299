//! `stockade image`: the image verbs by their long names, and prune.

use super::images::{ImageFilters, failure, find, open};
mod diff;
pub(super) mod minimize;
mod tree;

use stockade_image::Pruned;

use super::{build, history, images, import, inspect, load, pull, push, rmi, save, system, tag};
use crate::Outcome;
use crate::context::Context;
use crate::failure::Exit;
use crate::{go_template, human, output};

/// Arguments of `stockade image`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)] // one is made in a process
enum Verb {
    /// Build an image from a Dockerfile
    Build(build::Args),
    /// Show what is different between two images: packages, configuration, files
    Diff(diff::Args),
    /// Show what made each layer of an image
    History(history::Args),
    /// Make an image from a tar of a root file system
    Import(import::Args),
    /// Show everything about images
    Inspect(Inspect),
    /// Read images from an archive
    Load(load::Args),
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::Args),
    /// Make an image with only the files that a traced run needs
    Minimize(minimize::Args),
    /// Remove images that nothing uses
    Prune(Prune),
    /// Bring an image from a registry
    Pull(pull::Args),
    /// Send an image to a registry
    Push(push::Args),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(rmi::Args),
    /// Write images to an archive
    Save(save::Args),
    /// Give an image another name
    Tag(tag::Args),
    /// Show which images stand on which layers
    Tree(tree::Args),
    /// Verify the store, and mend it: `stockade system check`
    Verify(system::CheckArgs),
}

/// Arguments of `stockade image inspect`.
#[derive(Debug, clap::Args)]
struct Inspect {
    /// `json` or a Go template such as '{{.Config.Cmd}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Arguments of `stockade image prune`.
#[derive(Debug, clap::Args)]
struct Prune {
    /// All images that no container uses, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=24h, label=a=b
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Runs the verb.
pub fn run(args: Args, context: &Context) -> Outcome {
    match args.verb {
        Verb::Build(args) => build::run(args, context),
        Verb::Diff(args) => diff::run(&args, context),
        Verb::History(args) => history::run(args, context),
        Verb::Import(args) => import::run(args, context),
        Verb::Inspect(args) => show(&args, context),
        Verb::Load(args) => load::run(args, context),
        Verb::Ls(args) => images::run(args, context),
        Verb::Minimize(args) => minimize::run(&args, context),
        Verb::Prune(args) => prune(&args, context),
        Verb::Pull(args) => pull::run(args, context),
        Verb::Push(args) => push::run(args, context),
        Verb::Rm(args) => rmi::run(args, context),
        Verb::Save(args) => save::run(args, context),
        Verb::Tag(args) => tag::run(args, context),
        Verb::Tree(args) => tree::run(&args, context),
        Verb::Verify(args) => system::run_check(args, context),
    }
}

fn show(args: &Inspect, context: &Context) -> Outcome {
    let store = open(context)?;
    let mut found = Vec::new();
    let mut exit = Exit::DONE;
    for name in &args.images {
        match find(&store, name) {
            Ok(image) => found.push(inspect::describe_image(&image)),
            Err(failure) => {
                failure.print();
                exit = Exit::FAILED;
            }
        }
    }
    match args.format.as_deref() {
        None => output::json(&found)?,
        Some(format) => output::to_stdout(&go_template::render_rows(format, &found)?)?,
    }
    Ok(exit)
}

/// What a prune removed, in docker's words.
pub(super) fn lines(pruned: &Pruned) -> Vec<String> {
    let untagged = pruned.untagged.iter().map(|name| format!("untagged: {name}"));
    untagged.chain(pruned.deleted.iter().map(|digest| format!("deleted: {digest}"))).collect()
}

fn prune(args: &Prune, context: &Context) -> Outcome {
    let store = open(context)?;
    let filters = ImageFilters::new(&args.filter, &store)?;
    let what = if args.all { "all images that no container uses" } else { "all images without a name" };
    super::container::confirm(args.force, &format!("This removes {what}"))?;
    let pruned =
        store.prune_where(|image| (args.all || image.names.is_empty()) && filters.fit(image)).map_err(failure)?;
    let lines = lines(&pruned);
    let head = if lines.is_empty() { String::new() } else { format!("Deleted Images:\n{}\n\n", lines.join("\n")) };
    output::to_stdout(&format!("{head}Total reclaimed space: {}\n", human::size(pruned.bytes)))?;
    Ok(Exit::DONE)
}
