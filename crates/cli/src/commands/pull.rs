//! `stockade pull`

use stockade_image::{Reference, Store};
use stockade_registry::{Client, PullOptions, parse_platform};

use super::build::base::{self, can_be_made};
use super::images::open;
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::transfer::{RegistryArgs, Transfer, Way, reference};

/// Arguments of `stockade pull`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pull every tag of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Accepted for docker's sake: every digest is always verified
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<bool>,
    /// The machine that the image is for, such as linux/arm64 [default: this one]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Print the name of the image and nothing else
    #[arg(short, long)]
    quiet: bool,
    /// Package archive to make a distribution's base image from, instead of the configured one
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// What to pull
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

/// Pulls.
pub fn run(args: Args, context: &Context) -> Outcome {
    let named = reference(&args.name)?;
    let platform = args.platform.as_deref().map(parse_platform).transpose().map_err(Failure::usage)?;
    let options = PullOptions { platform };
    let store = open(context)?;
    let client = args.registry.client(context);
    let own_platform = options.platform.is_none();
    if !args.all_tags && own_platform && named.registry.is_none() && can_be_made(&args.name) {
        base::make(context, &args.name, args.mirror.as_deref(), true, args.quiet)?;
        return output::to_stdout(&format!("{}\n", named.or_latest())).map(|()| Exit::DONE);
    }
    if args.mirror.is_some() {
        return Err(Failure::usage(format!("--mirror is for images that are made from a distribution's archive, and `{}` is none", args.name)));
    }
    if !args.all_tags {
        one(&client, &store, &named, &options, args.quiet)?;
        return Ok(Exit::DONE);
    }
    if named.tag.is_some() || named.digest.is_some() {
        return Err(Failure::usage("--all-tags takes a name without a tag or digest"));
    }
    let tags = client.tags(&named, &Transfer::new(Way::In, args.quiet))?;
    for tag in &tags.tags {
        // A registry may say anything; a tag that is none is passed over aloud.
        match reference(&format!("{}:{tag}", named.name())) {
            Ok(named) => one(&client, &store, &named, &options, args.quiet)?,
            Err(failure) => output::warn(&failure.to_string()),
        }
    }
    if tags.cut {
        output::warn("the repository has more tags than were read");
    }
    Ok(Exit::DONE)
}

/// Brings the image of a new container into the store, if `when` says so: `missing`, `always` or `never`. What is
/// found, or is no name that a registry could know, is left to the engine.
pub(super) fn ensure(context: &Context, image: &str, when: &str, quiet: bool) -> Result<(), Failure> {
    if when == "never" {
        return Ok(());
    }
    let store = open(context)?;
    let found = match store.resolve(image) {
        Ok(found) => found,
        Err(_) => return Ok(()),
    };
    let Ok(named) = Reference::parse(image) else { return Ok(()) };
    let by_id = found.as_ref().is_some_and(|image| !image.names.contains(&named.clone().or_latest().to_string()));
    if by_id || (found.is_some() && when != "always") {
        return Ok(());
    }
    let full = named.clone().or_latest();
    if found.is_none() && !quiet {
        output::to_stderr(&format!("Unable to find image '{full}' locally\n"));
    }
    if can_be_made(image) {
        return base::make(context, image, None, found.is_some(), quiet).map_err(|f| f.with_exit(Exit::ENGINE));
    }
    let progress = Transfer::new(Way::In, quiet);
    let pulled = RegistryArgs::default().client(context).pull(&store, &named, &PullOptions::default(), &progress);
    let pulled = pulled.map_err(|e| {
        let failure = Failure::from(e);
        let why = if found.is_some() { "cannot be renewed" } else { "is not in the store and cannot be pulled" };
        Failure::new(format!("the image `{full}` {why}: {failure}"))
            .hint("build, load or import it, or name a registry that has it; `stockade images` lists what is there")
            .with_exit(Exit::ENGINE)
    })?;
    drop(progress);
    if !quiet {
        let status = if pulled.new { "Downloaded newer image for" } else { "Image is up to date for" };
        output::to_stderr(&format!("Digest: {}\nStatus: {status} {full}\n", pulled.digest));
    }
    Ok(())
}

fn one(client: &Client, store: &Store, named: &Reference, options: &PullOptions, quiet: bool) -> Result<(), Failure> {
    let full = named.clone().or_latest();
    if !quiet {
        let what = full.digest.map_or_else(|| full.tag.clone().unwrap_or_default(), |digest| digest.to_string());
        output::to_stdout(&format!("{what}: Pulling from {}\n", named.path()))?;
    }
    let progress = Transfer::new(Way::In, quiet);
    let pulled = client.pull(store, named, options, &progress)?;
    drop(progress);
    let name = pulled.found_as.clone().map_or_else(|| full.canonical(), |found| found.canonical());
    if quiet {
        return output::to_stdout(&format!("{name}\n"));
    }
    let status = if pulled.new { "Downloaded newer image for" } else { "Image is up to date for" };
    output::to_stdout(&format!("Digest: {}\nStatus: {status} {full}\n{name}\n", pulled.digest))
}
