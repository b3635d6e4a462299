//! A distribution's base image for verbs other than `build`.

use std::io::IsTerminal;

use stockade_base::BaseName;
use stockade_build::{BuildContext, BuildRequest, Builder, DockerfileSource, Output, Pull};

use crate::container::engine;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

use super::progress::{Kind, Progress};
use super::report;

/// Whether this is the name of an image that can be made from a distribution's signed archive.
pub fn can_be_made(name: &str) -> bool {
    matches!(BaseName::parse(name), Ok(Some(_)))
}

/// Brings such an image into the store in the way that `FROM` does: from a registry that the settings name for it, or
/// made from the distribution's signed archive. With `renew`, also when it is there.
pub fn make(context: &Context, name: &str, mirror: Option<&str>, renew: bool, quiet: bool) -> Result<(), Failure> {
    context.need_root("making a base image")?;
    let engine = engine(context)?;
    let store = engine.store()?;
    let mut request = BuildRequest::new(".".into());
    request.context = BuildContext::Empty;
    request.dockerfile = DockerfileSource::Bytes(format!("FROM {name}\n").into_bytes());
    request.outputs = vec![Output::CacheOnly];
    request.mirror = mirror.map(str::to_owned);
    request.pull = if renew { Pull::Always } else { Pull::Missing };
    let live = !quiet && std::io::stderr().is_terminal();
    if !quiet && !live {
        output::to_stderr(&format!("making `{name}` from its distribution's signed archive, or pulling it\n"));
    }
    let progress = Progress::new(if live { Kind::Live } else { Kind::Quiet });
    let result = Builder::new(&store, &engine, &context.settings).build(&request, &progress);
    progress.close();
    match result {
        Ok(_) => Ok(()),
        // What is shown as a diagnostic comes back as an exit code.
        Err(error) => report::failure(error, false)
            .and_then(|exit| Err(Failure::new(format!("`{name}` cannot be made")).with_exit(exit))),
    }
}
