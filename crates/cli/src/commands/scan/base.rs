//! Whose layer it is: the base image's or the Dockerfile's, and at which line of it.

use std::collections::BTreeSet;
use std::path::Path;

use stockade_advisory::report::{BaseImage, ScanReport};
use stockade_dockerfile::{Dockerfile, Instruction, Kind};
use stockade_image::{Image, Store};

use crate::context::Context;
use crate::failure::Failure;

/// Says which image of the store this one is built on.
pub fn find(context: &Context, report: &mut ScanReport) -> Result<(), Failure> {
    let layers = layers_of(context, report)?;
    let store = Store::open(&context.settings.dirs.root)?;
    report.base = below(&store, &layers)?.map(|image| BaseImage {
        name: image.names.first().cloned().unwrap_or_else(|| image.id.to_string()),
        layers: image.config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
    });
    Ok(())
}

/// Names lines of a Dockerfile, and leaves out what the base image brought.
pub fn apply(
    context: &Context,
    report: &mut ScanReport,
    file: Option<&Path>,
    exclude: bool,
) -> Result<(), Failure> {
    let layers = layers_of(context, report)?;
    let store = Store::open(&context.settings.dirs.root)?;
    let dockerfile = file.map(read).transpose()?;
    let from = dockerfile.as_ref().and_then(last_from);
    let base = match &from {
        Some((_, name)) => store.resolve(name)?,
        None => below(&store, &layers)?,
    };
    let shared = base.as_ref().map_or(0, |image| shared_layers(image, &layers));
    let base_layers: BTreeSet<&str> = layers.iter().take(shared).map(String::as_str).collect();
    if exclude && base_layers.is_empty() {
        let why = match &from {
            Some((_, name)) => format!("`{name}`, which {} starts from, is not in the store or not below this image", shown(file)),
            None => "no image of the store is below this one".to_owned(),
        };
        return Err(Failure::usage(format!("the base image is not known: {why}"))
            .hint("`--file DOCKERFILE` names it, and `stockade pull` or a build brings it"));
    }
    if exclude {
        leave_out(report, &base_layers, base.as_ref());
    }
    if let Some(dockerfile) = &dockerfile {
        name_lines(report, &base_layers, dockerfile, &shown(file), from.as_ref().map(|(line, _)| *line));
    }
    Ok(())
}

fn shown(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |f| f.display().to_string())
}

fn read(path: &Path) -> Result<Dockerfile, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(format!("cannot read `{}`: {e}", path.display())))?;
    stockade_dockerfile::parse(&bytes, &path.display().to_string()).map_err(|wrong| {
        let first = wrong.errors().next().map_or_else(String::new, |d| d.message.clone());
        Failure::usage(format!("`{}` is no Dockerfile: {first}", path.display()))
    })
}

/// Line and name of the image that the last stage starts from, through stages that it names.
fn last_from(dockerfile: &Dockerfile) -> Option<(usize, String)> {
    let mut stage = dockerfile.stages.last()?;
    for _ in 0..dockerfile.stages.len() {
        let instruction = dockerfile.stage_instructions(stage).first()?;
        let Kind::From(from) = &instruction.kind else { return None };
        let name = from.image.value.to_lowercase();
        match dockerfile.stages.iter().find(|s| s.name.as_deref() == Some(&name) && s.index < stage.index) {
            Some(earlier) => stage = earlier,
            None => return Some((line_of(instruction), from.image.value.clone())),
        }
    }
    None
}

fn line_of(instruction: &Instruction) -> usize {
    instruction.span.start.line as usize
}

/// The scanned image's layers, lowest first: the store knows those of its images, others show those with packages.
fn layers_of(context: &Context, report: &ScanReport) -> Result<Vec<String>, Failure> {
    let store = Store::open(&context.settings.dirs.root)?;
    let id = report.target.digest.as_deref().and_then(|d| d.parse().ok());
    match id.map(|id| store.get(&id)).transpose()?.flatten() {
        Some(image) => Ok(image.config.rootfs.diff_ids.iter().map(ToString::to_string).collect()),
        None => Err(Failure::usage("--file and --exclude-base need an image of the store")
            .hint("`stockade pull` or `stockade load` brings it there")),
    }
}

fn shared_layers(image: &Image, layers: &[String]) -> usize {
    let own = &image.config.rootfs.diff_ids;
    let is_below = own.len() < layers.len() && own.iter().zip(layers).all(|(a, b)| a.to_string() == *b);
    if is_below { own.len() } else { 0 }
}

/// The image of the store with most layers that this one is built on.
fn below(store: &Store, layers: &[String]) -> Result<Option<Image>, Failure> {
    let images = store.list()?.into_iter().map(|image| (shared_layers(&image, layers), image));
    Ok(images.filter(|(n, _)| *n > 0).max_by_key(|(n, _)| *n).map(|(_, image)| image))
}

fn leave_out(report: &mut ScanReport, base_layers: &BTreeSet<&str>, base: Option<&Image>) {
    let of_base = |layer: Option<&str>| layer.is_some_and(|l| base_layers.contains(l));
    let all = report.findings.len() + report.secrets.len() + report.weaknesses.len();
    report.findings.retain(|f| !of_base(f.layer.as_deref()));
    report.secrets.retain(|s| !of_base(s.layer.as_deref()));
    report.weaknesses.retain(|w| !of_base(w.layer.as_deref()));
    let left = all - report.findings.len() - report.secrets.len() - report.weaknesses.len();
    let name = base.and_then(|b| b.names.first().cloned()).unwrap_or_else(|| "the base image".to_owned());
    report.notes.push(format!("{left} findings come from {name} and were left out (--exclude-base)"));
}

/// Puts file and line before each instruction that the Dockerfile has.
fn name_lines(
    report: &mut ScanReport,
    base_layers: &BTreeSet<&str>,
    dockerfile: &Dockerfile,
    file: &str,
    from: Option<usize>,
) {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let known: Vec<(String, usize)> =
        dockerfile.instructions.iter().map(|i| (plain(&i.original), line_of(i))).collect();
    let named = |layer: Option<&str>, instruction: Option<&str>| -> Option<String> {
        let line = if layer.is_some_and(|l| base_layers.contains(l)) {
            from
        } else {
            let wanted = instruction.map(plain);
            known.iter().find(|(text, _)| Some(text) == wanted.as_ref()).map(|(_, line)| *line)
        };
        line.map(|line| format!("{file}:{line} {}", instruction.unwrap_or_default()).trim_end().to_owned())
    };
    macro_rules! name_all {
        ($($list:ident),*) => {$(
            for item in &mut report.$list {
                if let Some(text) = named(item.layer.as_deref(), item.instruction.as_deref()) {
                    item.instruction = Some(text.into());
                }
            }
        )*};
    }
    name_all!(packages, findings, secrets, weaknesses);
}
