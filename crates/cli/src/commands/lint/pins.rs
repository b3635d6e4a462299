//! `lint --fix --pin`: the versions that the archives of the base images offer now.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stockade_base::{BaseName, BaseRequest, MirrorChoice, present};

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Versions by base image and package, for every package of the file that has none. Bases without an archive that is known,
/// and packages that it does not have, are named and left alone.
pub fn of(file: &[u8], name: &str, context: &Context) -> Result<BTreeMap<String, BTreeMap<String, String>>, Failure> {
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (base, package) in stockade_lint::unpinned(file, name) {
        wanted.entry(base).or_default().push(package);
    }
    let mut pins = BTreeMap::new();
    for (base, packages) in wanted {
        let Ok(Some(known)) = BaseName::parse(&base) else {
            output::warn(&format!("{name}: no archive is known for `{base}`: its packages get no versions"));
            continue;
        };
        let archive = present(&request(known, context)).map_err(Failure::from)?;
        let mut versions = BTreeMap::new();
        for package in packages {
            // `name:amd64` is the name of an architecture's package.
            let plain = package.split(':').next().unwrap_or("");
            match archive.version(plain).map_err(Failure::from)? {
                Some(version) => drop(versions.insert(package, version)),
                None => output::warn(&format!("{name}: the archive of `{base}` has no package `{plain}`")),
            }
        }
        pins.insert(base, versions);
    }
    Ok(pins)
}

fn request(name: BaseName, context: &Context) -> BaseRequest {
    let mirror = &context.settings.mirror;
    let cache = context.settings.dirs.root.join("build/archive");
    let mut request = BaseRequest::new(name, cache, PathBuf::new());
    request.keyring.clone_from(&mirror.keyring);
    request.mirror = MirrorChoice {
        flag: None,
        config_debian: mirror.debian.clone(),
        config_debian_security: mirror.debian_security.clone(),
        config_ubuntu: mirror.ubuntu.clone(),
    };
    request
}
