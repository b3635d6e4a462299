//! `stockade save`

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use stockade_image::{Format, Store};

use super::images::{failure, open};
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Arguments of `stockade save`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What `docker load` reads, or an OCI image layout with compressed layers
    #[arg(long, value_name = "FORMAT", default_value = "docker-archive", value_parser = ["docker-archive", "oci-archive"])]
    format: String,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Writes images to an archive.
pub fn run(args: Args, context: &Context) -> Outcome {
    let store = open(context)?;
    let format = if args.format == "oci-archive" { Format::Oci } else { Format::Docker };
    match &args.output {
        Some(path) => to_file(&store, &args.images, format, path)?,
        None if io::stdout().is_terminal() => {
            return Err(Failure::usage("a tar on the terminal helps nobody; use -o FILE or a pipe"));
        }
        None => {
            store.save(&args.images, format, BufWriter::with_capacity(1 << 20, io::stdout().lock())).map_err(failure)?
        }
    }
    Ok(Exit::DONE)
}

/// Writes beside the place and renames: a failure leaves what was there.
fn to_file(store: &Store, images: &[String], format: Format, path: &Path) -> Result<(), Failure> {
    let special = path.symlink_metadata().is_ok_and(|m| !m.is_file());
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let target = if special { path.to_owned() } else { PathBuf::from(part) };
    let file = File::create(&target).map_err(|e| Failure::new(format!("cannot create `{}`: {e}", target.display())))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let done = store.save(images, format, &mut writer).map_err(failure).and_then(|()| {
        writer.flush()?;
        if !special {
            std::fs::rename(&target, path)?;
        }
        Ok(())
    });
    if done.is_err() && !special {
        let _ = std::fs::remove_file(&target);
    }
    done
}
