//! What a build was asked for, kept so that `base update` can ask for it again.
//!
//! One file an image, `<root>/build/recipes/<id>.json`, readable by root alone. The image itself says nothing of it: a
//! path on this machine is nobody else's business.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stockade_image::{Digest, Store};

const SCHEMA: &str = "stockade.recipe/v1";
/// Flag of a repeated build, which is not part of what was asked for.
const NO_CACHE: &str = "--no-cache";

/// How an image was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    schema: String,
    /// Working directory.
    pub directory: PathBuf,
    /// The command line without the program.
    pub arguments: Vec<String>,
}

/// Keeps this process's command line as the recipe of `image`. One that cannot be repeated (standard input, text that
/// is no UTF-8, credentials in an address) is not kept. Failing to keep it is no failure of the build.
pub fn record(store: &Store, image: &Digest, from_stdin: bool) {
    let path = place(store.root(), image);
    let arguments: Option<Vec<String>> = std::env::args_os().skip(1).map(|a| a.into_string().ok()).collect();
    let fits = |arguments: &Vec<String>| !from_stdin && !arguments.iter().any(|a| has_credentials(a));
    let (Some(mut arguments), Ok(directory)) = (arguments.filter(fits), std::env::current_dir()) else {
        let _ = fs::remove_file(path);
        return;
    };
    arguments.retain(|argument| argument != NO_CACHE);
    let recipe = Recipe { schema: SCHEMA.to_owned(), directory, arguments };
    let Ok(bytes) = serde_json::to_vec(&recipe) else { return };
    if fs::read(&path).is_ok_and(|known| known == bytes) {
        return;
    }
    let written = path.parent().map(stockade_durable::create_private_dir).transpose();
    if written.is_ok() {
        let _ = stockade_durable::write_volatile(&path, &bytes, 0o600);
    }
}

impl Recipe {
    /// The recipe of an image, if it was built here and can be built again.
    pub fn of(store: &Store, image: &Digest) -> Option<Recipe> {
        let recipe: Recipe = serde_json::from_slice(&fs::read(place(store.root(), image)).ok()?).ok()?;
        (recipe.schema == SCHEMA && recipe.build_at().is_some()).then_some(recipe)
    }

    /// The command line that builds it anew, without the cache.
    pub fn again(&self) -> Vec<String> {
        let mut arguments = self.arguments.clone();
        if let Some(at) = self.build_at() {
            arguments.insert(at + 1, NO_CACHE.to_owned());
        }
        arguments
    }

    /// The newest image that this recipe made.
    pub fn newest(&self, store: &Store) -> Option<Digest> {
        let entries = fs::read_dir(store.root().join("build/recipes")).ok()?.flatten();
        let made = entries.filter_map(|entry| {
            let recipe: Recipe = serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()?;
            let id = entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)?;
            let id: Digest = format!("sha256:{id}").parse().ok()?;
            (recipe == *self).then_some((entry.metadata().ok()?.modified().ok()?, id))
        });
        made.max().map(|(_, id)| id)
    }

    fn build_at(&self) -> Option<usize> {
        self.arguments.iter().position(|argument| argument == "build")
    }
}

/// Forgets the recipes of images that are gone.
pub fn sweep(store: &Store, images: &[Digest]) {
    for entry in fs::read_dir(store.root().join("build/recipes")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !images.iter().any(|image| name.strip_suffix(".json").is_some_and(|id| id == image.hex())) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn place(root: &Path, image: &Digest) -> PathBuf {
    root.join("build/recipes").join(format!("{}.json", image.hex()))
}

/// `https://user:token@host/…`
fn has_credentials(argument: &str) -> bool {
    argument.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_repeated_without_the_cache() {
        let arguments = ["--root", "/r", "build", "-t", "x", "."].map(str::to_owned).to_vec();
        let recipe = Recipe { schema: SCHEMA.into(), directory: PathBuf::from("/"), arguments };
        assert_eq!(recipe.again(), ["--root", "/r", "build", "--no-cache", "-t", "x", "."]);
        assert!(has_credentials("https://me:token@host/x.git") && !has_credentials("https://host/a@b"));
    }
}
