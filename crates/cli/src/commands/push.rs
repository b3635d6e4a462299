//! `stockade push`

use stockade_image::{Image, Reference};
use stockade_registry::{PushCompression, PushOptions};

use super::images::{find, open};
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::transfer::{RegistryArgs, Transfer, Way, reference};

/// Arguments of `stockade push`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Push every tag of the repository that the store has
    #[arg(short, long)]
    all_tags: bool,
    /// Accepted for docker's sake
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<bool>,
    /// How layers go: as they are stored, or in gzip, which every client reads (the image's digest changes)
    #[arg(long, value_enum, default_value_t = Compression::Stored)]
    compression: Compression,
    /// Print the name of the image and nothing else
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    /// What to push; the name says where to
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Compression {
    Stored,
    Gzip,
}

/// Pushes.
pub fn run(args: Args, context: &Context) -> Outcome {
    let named = reference(&args.name)?;
    let store = open(context)?;
    let images = if args.all_tags {
        all_tags(&store.list()?, &named)?
    } else {
        vec![(named.clone(), find(&store, &args.name)?)]
    };
    let client = args.registry.client(context);
    let compression = match args.compression {
        Compression::Stored => PushCompression::AsStored,
        Compression::Gzip => PushCompression::Gzip,
    };
    if !args.quiet {
        output::to_stdout(&format!("The push refers to repository [{}/{}]\n", named.domain(), named.path()))?;
    }
    for (name, image) in images {
        let progress = Transfer::new(Way::Out, args.quiet);
        let pushed = client.push(&store, &image, &name, &PushOptions { compression }, &progress)?;
        client.push_attached(&store, &image, &name, &pushed, &progress)?;
        drop(progress);
        let line = if args.quiet {
            format!("{}\n", name.canonical())
        } else {
            format!("{}: digest: {} size: {}\n", pushed.tag, pushed.digest, pushed.size)
        };
        output::to_stdout(&line)?;
    }
    Ok(Exit::DONE)
}

fn all_tags(images: &[Image], named: &Reference) -> Result<Vec<(Reference, Image)>, Failure> {
    if named.tag.is_some() || named.digest.is_some() {
        return Err(Failure::usage("--all-tags takes a name without a tag or digest"));
    }
    let mut found = Vec::new();
    for image in images {
        let names = image.names.iter().filter_map(|name| Reference::parse(name).ok());
        found.extend(names.filter(|n| n.same_repository(named) && n.tag.is_some()).map(|name| (name, image.clone())));
    }
    if found.is_empty() {
        let hint = "`stockade images` lists what is there";
        return Err(Failure::new(format!("no image `{}` in the store", named.name())).hint(hint));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
