//! Makes a minimal image of an image: only the files that a traced run opens, and what a run cannot show.
//!
//! The road: the image's files are copied to a plain root whose access times are all set to a moment long ago; the
//! commands run in it, confined as a build step is; a file or link with another access time after that was opened. To
//! those come what is loaded on demand ([`keep`]): name service, locales, certificates, users, libraries that a kept
//! program is linked with, and the metadata by which scanners know packages. The commands then run once more on the
//! result alone: an image that does not pass is not made.
#![forbid(unsafe_code)]

mod copy;
mod dpkg;
mod error;
mod glob;
mod keep;
mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use stockade_engine::{Engine, Level, NetMode, StepStream};
use stockade_image::files::{FileKind, Files};
use stockade_image::{History, Image, ImageConfig, LayerOptions, Reference, Store};

pub use error::MinimizeError;
pub use trace::Ending;

/// Label that names the image which a minimal one was made of, by its id.
pub const LABEL: &str = "org.stockade.minimized.from";

/// What to make, and how to find out what is needed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Commands to trace, each a program with arguments. Empty: the image's own entry point and command.
    pub runs: Vec<Vec<String>>,
    /// How long each may run; it is killed then, which is no failure.
    pub limit: Duration,
    /// Paths to keep in any case; `*` stands for any part of a name, `**` for any part of a path.
    pub keep: Vec<String>,
    /// Network of the runs.
    pub network: NetMode,
    /// Confinement of the runs.
    pub level: Level,
    /// Names of the result.
    pub names: Vec<Reference>,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Minimized {
    /// The minimal image.
    pub image: Image,
    /// Files and links before.
    pub files_before: usize,
    /// Files and links after.
    pub files_after: usize,
    /// How each run ended, in their order.
    pub endings: Vec<Ending>,
    /// Packages of dpkg that went, by name.
    pub removed_packages: Vec<String>,
}

/// Makes the minimal image. `out` is called with what the runs write.
///
/// # Errors
/// [`MinimizeError`]; no image is made then.
pub fn minimize(
    store: &Store,
    engine: &Engine,
    image: &Image,
    request: &Request,
    out: &mut dyn FnMut(StepStream, &[u8]),
) -> Result<Minimized, MinimizeError> {
    let runs = commands(image, request)?;
    let files = store.files(image)?;
    let staging = store.staging_dir()?;
    let place = |name: &str| -> Result<std::path::PathBuf, MinimizeError> {
        let path = staging.path().join(name);
        fs::create_dir(&path).map_err(MinimizeError::on("create", &path))?;
        rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(|e| MinimizeError::on("set the mode of", &path)(e.into()))?;
        Ok(path)
    };
    let traced = place("traced")?;
    copy::copy(&files, &|_| true, &traced)?;
    trace::age(&traced)?;
    let runner = trace::Runner { engine, config: &image.config.config, request };
    let mut endings = Vec::new();
    for run in &runs {
        match runner.run(run, &traced, out)? {
            Ending::Failed(code) => return Err(MinimizeError::Failed { command: run.join(" "), code }),
            ending => endings.push(ending),
        }
    }
    let touched = trace::touched(&traced)?;

    let mut kept = keep::Keep::new(&files, touched).choose(&image.config.config, &runs, &request.keep)?;
    let packages = dpkg::Packages::read(&files)?;
    let status = packages.keep(&mut kept);
    let result = place("result")?;
    copy::copy(&files, &|path| kept.contains(path), &result)?;
    status.write(&result)?;
    let created = image.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let clamp = created.map(|t| t.as_second());
    let layer = store.layer_from_dir(&result, &LayerOptions { clamp_mtime: clamp, ..LayerOptions::default() })?;

    let trial = place("trial")?;
    copy::copy(&stockade_image::files::files_of(&[store.layer_dir(&layer)?])?, &|_| true, &trial)?;
    for (run, before) in runs.iter().zip(&endings) {
        let after = runner.run(run, &trial, &mut |_, _| {})?;
        if after != *before {
            return Err(MinimizeError::NotEnough { command: run.join(" "), before: *before, after });
        }
    }
    let config = config(image, &runs);
    let image = store.commit(config, &[layer], &request.names, &BTreeMap::new())?;
    Ok(Minimized {
        image,
        files_before: count(&files, |_| true),
        files_after: count(&files, |path| kept.contains(path)),
        endings,
        removed_packages: status.removed,
    })
}

fn count(files: &Files, wanted: impl Fn(&Path) -> bool) -> usize {
    files.iter().filter(|(path, file)| file.kind != FileKind::Directory && wanted(path)).count()
}

fn commands(image: &Image, request: &Request) -> Result<Vec<Vec<String>>, MinimizeError> {
    if !request.runs.is_empty() {
        return Ok(request.runs.clone());
    }
    let config = &image.config.config;
    let own: Vec<String> = config.entrypoint.iter().chain(&config.cmd).flatten().cloned().collect();
    if own.is_empty() { Err(MinimizeError::NothingToRun) } else { Ok(vec![own]) }
}

/// The image's configuration with a history of its own: the layers that the old one tells of are gone.
fn config(image: &Image, runs: &[Vec<String>]) -> ImageConfig {
    let mut config = image.config.clone();
    config.config.labels.insert(LABEL.to_owned(), image.id.to_string());
    let commands: Vec<String> = runs.iter().map(|run| run.join(" ")).collect();
    config.history = vec![History {
        created: image.created.clone(),
        created_by: Some(format!("stockade image minimize: what `{}` needs", commands.join("`, `"))),
        comment: Some(format!("of {}", image.id)),
        ..History::default()
    }];
    config
}
