//! `stockade commit`

use stockade_engine::CommitRequest;
use stockade_image::Reference;

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// Arguments of `stockade commit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who made it
    #[arg(short, long, value_name = "NAME")]
    author: Option<String>,
    /// What changed
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Freeze the container meanwhile
    #[arg(short, long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: bool,
    /// Not supported yet
    #[arg(short, long, value_name = "INSTRUCTION", hide = true)]
    change: Vec<String>,
    /// Container
    container: String,
    /// Name of the image
    image: Option<String>,
}

/// Makes an image of a container's files.
pub fn run(args: Args, context: &Context) -> Outcome {
    if !args.change.is_empty() {
        return Err(Failure::usage(
            "commit --change is not supported; build with a Dockerfile that starts FROM the committed image",
        ));
    }
    context.need_root("making an image of a container")?;
    let name = args.image.as_deref().map(Reference::parse).transpose()?.map(Reference::or_latest);
    let request = CommitRequest { name, author: args.author, message: args.message, pause: args.pause };
    let image = engine(context)?.commit(&args.container, &request)?;
    output::to_stdout(&format!("{}\n", image.id))?;
    Ok(Exit::DONE)
}
