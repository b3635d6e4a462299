//! `stockade inspect`

use serde_json::{Value, json};
use stockade_engine::{Engine, EngineError};
use stockade_image::Image;

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{go_template, output};

/// Arguments of `stockade inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `json` or a Go template such as '{{.State.Status}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the size of containers' own files
    #[arg(short, long)]
    size: bool,
    /// Look only for a container, an image or a volume
    #[arg(long, value_name = "TYPE", value_parser = ["container", "image", "volume"], hide_possible_values = true)]
    r#type: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
}

/// Prints everything about containers, images and volumes, with docker's field names.
pub fn run(args: Args, context: &Context) -> Outcome {
    let engine = engine(context)?;
    let template = match args.format.as_deref() {
        None | Some("json") => None,
        Some(text) => Some(go_template::Template::parse(text)?),
    };
    let mut found = Vec::new();
    let mut exit = Exit::DONE;
    for name in &args.names {
        match look_up(&engine, name, args.r#type.as_deref(), args.size) {
            Ok(value) => match &template {
                None => found.push(value),
                Some(template) => output::to_stdout(&(template.render(&value)? + "\n"))?,
            },
            Err(failure) => {
                failure.print();
                exit = Exit::FAILED;
            }
        }
    }
    if template.is_none() {
        if args.format.is_some() {
            for value in &found {
                output::to_stdout(&format!("{value}\n"))?;
            }
        } else {
            output::json(&found)?;
        }
    }
    Ok(exit)
}

fn look_up(engine: &Engine, name: &str, kind: Option<&str>, size: bool) -> Result<Value, Failure> {
    let wants = |k: &str| kind.is_none_or(|kind| kind == k);
    if wants("container") {
        match engine.inspect(name, size) {
            Ok(value) => return Ok(value),
            Err(EngineError::NoSuchContainer { .. }) if kind.is_none() => {}
            Err(e) => return Err(e.into()),
        }
    }
    if wants("image")
        && let Some(image) = engine.store()?.resolve(name)?
    {
        return Ok(describe_image(&image));
    }
    if wants("volume")
        && let Ok(volume) = engine.volume(name)
    {
        return Ok(super::volume::describe(&volume));
    }
    Err(Failure::new(format!("no such {}: {name}", kind.unwrap_or("container, image or volume"))))
}

/// An image as `docker image inspect` shows it.
pub(super) fn describe_image(image: &Image) -> Value {
    let config = &image.config;
    let repository = |name: &String| name.rsplit_once(':').map_or(name.clone(), |(r, _)| r.to_owned());
    json!({
        "Id": image.id.to_string(),
        "RepoTags": image.names,
        "RepoDigests": image.names.iter().map(|n| format!("{}@{}", repository(n), image.manifest_digest)).collect::<Vec<_>>(),
        "Created": image.created,
        "Author": config.author.clone().unwrap_or_default(),
        "Config": config.config,
        "Architecture": config.architecture,
        "Variant": config.variant.clone().unwrap_or_default(),
        "Os": config.os,
        "Size": image.size,
        "RootFS": {
            "Type": "layers",
            "Layers": config.rootfs.diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "Stockade": { "ManifestDigest": image.manifest_digest.to_string() },
    })
}
