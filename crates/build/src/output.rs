//! What becomes of the result: `--output`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use stockade_image::layer::{Devices, PackOptions, PlainTarget, Whiteouts};
use stockade_image::{Format, Image, Layer, UnpackOptions};

use crate::builder::Build;
use crate::error::BuildError;
use crate::state::State;

/// What becomes of the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Output {
    /// An image in the store.
    #[default]
    Image,
    /// The files, as a tar archive at this path.
    Tar(PathBuf),
    /// The files, in this directory.
    Local(PathBuf),
    /// An OCI archive at this path.
    Oci(PathBuf),
    /// A docker archive at this path.
    Docker(PathBuf),
    /// Nothing but the cache.
    CacheOnly,
}

impl Output {
    /// For the progress line.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Output::Image => "exporting to image",
            Output::Tar(_) => "exporting to tar archive",
            Output::Local(_) => "exporting to directory",
            Output::Oci(_) => "exporting to OCI archive",
            Output::Docker(_) => "exporting to docker archive",
            Output::CacheOnly => "exporting nothing",
        }
    }

    pub(crate) fn needs_image(&self) -> bool {
        matches!(self, Output::Image | Output::Oci(_) | Output::Docker(_))
    }
}

/// Writes the result where the request wants it.
pub(crate) fn write(
    build: &Build<'_>,
    output: &Output,
    state: &State,
    image: Option<&Image>,
) -> Result<(), BuildError> {
    match (output, image) {
        (Output::Image | Output::CacheOnly, _) => Ok(()),
        (Output::Tar(path), _) => {
            let staging = build.store.staging_dir()?;
            flatten(build, &layers(build, state, image)?, staging.path())?;
            write_file(path, |file| tar_of(staging.path(), file, build.epoch))
        }
        (Output::Local(path), _) => {
            fs::create_dir_all(path).map_err(BuildError::io("create directory", path))?;
            flatten(build, &layers(build, state, image)?, path)
        }
        (Output::Oci(path), Some(image)) => archive(build, path, image, Format::Oci),
        (Output::Docker(path), Some(image)) => archive(build, path, image, Format::Docker),
        (Output::Oci(_) | Output::Docker(_), None) => Ok(()),
    }
}

fn archive(build: &Build<'_>, path: &Path, image: &Image, format: Format) -> Result<(), BuildError> {
    let mut names: Vec<String> = build.request.tags.iter().map(|t| t.clone().or_latest().to_string()).collect();
    if names.is_empty() {
        names.push(image.id.to_string());
    }
    write_file(path, |file| Ok(build.store.save(&names, format, file)?))
}

/// Writes a file whole or not at all. Devices and pipes (`/dev/stdout`) are written as they are.
fn write_file(path: &Path, work: impl FnOnce(&mut dyn Write) -> Result<(), BuildError>) -> Result<(), BuildError> {
    let direct = fs::metadata(path).is_ok_and(|m| !m.is_file());
    let temporary = if direct { path.to_owned() } else { path.with_file_name(stockade_durable::temporary_name()) };
    let file = File::create(&temporary).map_err(BuildError::io("create", &temporary))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let written =
        work(&mut writer).and_then(|()| writer.flush().map_err(BuildError::io("write", path))).and_then(|()| {
            if direct { Ok(()) } else { fs::rename(&temporary, path).map_err(BuildError::io("create", path)) }
        });
    if written.is_err() && !direct {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The layers of the image where one was made for this output, else of the stage.
fn layers(build: &Build<'_>, state: &State, image: Option<&Image>) -> Result<Vec<Layer>, BuildError> {
    image.map_or_else(|| Ok(state.layers.clone()), |image| Ok(build.store.layers(image)?))
}

/// Unpacks all layers over each other.
fn flatten(build: &Build<'_>, layers: &[Layer], into: &Path) -> Result<(), BuildError> {
    let root = File::open(into).map_err(BuildError::io("open", into))?;
    let options = UnpackOptions { devices: Devices::Create, whiteouts: Whiteouts::Apply, ..UnpackOptions::default() };
    for layer in layers {
        build.cancel.check()?;
        let blob = build.store.open_blob(&layer.descriptor.digest)?;
        stockade_image::layer::unpack(blob, root.as_fd(), &options)?;
    }
    Ok(())
}

/// A tar of a directory: sorted, with hard links and attributes.
fn tar_of(dir: &Path, out: &mut dyn Write, clamp: Option<i64>) -> Result<(), BuildError> {
    let root = File::open(dir).map_err(BuildError::io("open", dir))?;
    stockade_image::layer::pack(root.as_fd(), &mut PlainTarget(out), &PackOptions { clamp_mtime: clamp })?;
    Ok(())
}
