//! `lint --lsp`: a language server on standard input and output.

use std::collections::BTreeSet;
use std::io::{BufReader, BufWriter};

use stockade_image::Store;
use stockade_lint::Options;
use stockade_lint::lsp::{FrameError, Server, serve as run};

use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Serves one client until it says `exit`.
pub fn serve(options: Options, context: &Context) -> Outcome {
    let names = || image_names(context);
    let mut server = Server::new(options, &names);
    let output = BufWriter::new(std::io::stdout().lock());
    match run(&mut server, BufReader::new(std::io::stdin().lock()), output) {
        Ok(code) => Ok(Exit(code)),
        Err(FrameError::Io(e)) => Err(Failure::from(e)),
        Err(error) => {
            let hint = "an editor starts `stockade lint --lsp`: it speaks the language server protocol, not to people";
            Err(Failure::from(error).hint(hint))
        }
    }
}

/// Images of the store, bases that are made here, and names of the configuration.
fn image_names(context: &Context) -> Vec<String> {
    let mut names: BTreeSet<String> = context.settings.base.keys().cloned().collect();
    for suite in stockade_base::suites::SUITES {
        names.insert(format!("{}:{}", suite.distro.id(), suite.codename));
        if !suite.version.is_empty() {
            names.insert(format!("{}:{}", suite.distro.id(), suite.version));
        }
    }
    // No store, no names of it: nothing is made for a proposal.
    if context.settings.dirs.root.exists()
        && let Ok(images) = Store::open(&context.settings.dirs.root).and_then(|store| store.list())
    {
        names.extend(images.into_iter().flat_map(|i| i.names));
    }
    names.into_iter().collect()
}
