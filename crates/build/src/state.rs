//! What a stage has become so far.

use std::path::PathBuf;

use stockade_image::config::ContainerConfig;
use stockade_image::{History, ImageConfig, Layer, RootFs};

use crate::cache::Key;
use crate::merged::Tree;
use crate::scope::{env_get, machine};

/// The search path of steps and of images that say none (docker's).
pub(crate) const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The shell of images that say none.
pub(crate) const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A stage's file system and configuration.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    /// Unpacked, lowest first.
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) image: ImageConfig,
    /// `ARG`s with values, in order of declaration.
    pub(crate) args: Vec<(String, String)>,
    /// `CMD` was given in this stage, so that `ENTRYPOINT` keeps it.
    pub(crate) cmd_given: bool,
}

impl State {
    /// `FROM scratch`
    pub(crate) fn scratch() -> State {
        let (architecture, variant) = machine();
        let image = ImageConfig {
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
            os: "linux".to_owned(),
            config: ContainerConfig {
                env: vec![DEFAULT_PATH.to_owned()],
                working_dir: "/".to_owned(),
                ..ContainerConfig::default()
            },
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            ..ImageConfig::default()
        };
        State { layers: Vec::new(), dirs: Vec::new(), image, args: Vec::new(), cmd_given: false }
    }

    /// Gives an image without a search path docker's: in front, and only if it has none.
    pub(crate) fn ensure_path(&mut self) {
        if env_get(&self.image.config.env, "PATH").is_none() {
            self.image.config.env.insert(0, DEFAULT_PATH.to_owned());
        }
    }

    pub(crate) fn config(&mut self) -> &mut ContainerConfig {
        &mut self.image.config
    }

    /// A variable's value: `ENV` wins over `ARG`.
    pub(crate) fn lookup(&self, name: &str) -> Option<String> {
        env_get(&self.image.config.env, name)
            .or_else(|| self.args.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.as_str()))
            .map(str::to_owned)
    }

    /// Arguments that `ENV` does not hide.
    pub(crate) fn visible_args(&self) -> Vec<(String, String)> {
        self.args.iter().filter(|(k, _)| env_get(&self.image.config.env, k).is_none()).cloned().collect()
    }

    pub(crate) fn set_arg(&mut self, name: &str, value: String) {
        match self.args.iter_mut().find(|(k, _)| k == name) {
            Some((_, old)) => *old = value,
            None => self.args.push((name.to_owned(), value)),
        }
    }

    /// Directories for an overlay, topmost first. A layer that occurs twice (two steps that change nothing give the
    /// same one) is named once, at its upper place: overlayfs refuses it otherwise.
    pub(crate) fn lower(&self) -> Vec<PathBuf> {
        let mut out: Vec<PathBuf> = Vec::with_capacity(self.dirs.len());
        for dir in self.dirs.iter().rev() {
            if !out.contains(dir) {
                out.push(dir.clone());
            }
        }
        out
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::overlay(self.lower())
    }

    /// Says which files there are, by content.
    pub(crate) fn files_key(&self) -> String {
        let mut key = Key::new("files");
        key.list("layers", self.layers.iter().map(|l| l.diff_id.to_string()));
        key.finish()
    }

    /// The shell for shell-form commands.
    pub(crate) fn shell(&self) -> Vec<String> {
        self.image.config.shell.clone().unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec())
    }

    /// The working directory; never empty.
    pub(crate) fn workdir(&self) -> &str {
        match self.image.config.working_dir.as_str() {
            "" => "/",
            dir => dir,
        }
    }

    pub(crate) fn push_layer(&mut self, layer: Layer, dir: PathBuf, history: History) {
        self.image.rootfs.diff_ids.push(layer.diff_id);
        self.layers.push(layer);
        self.dirs.push(dir);
        self.image.history.push(history);
    }

    pub(crate) fn push_history(&mut self, created_by: String) {
        self.image.history.push(crate::history::empty(created_by));
    }
}

/// `path` as an absolute one without `.`, `..` and double slashes; relative ones start at `base`.
pub(crate) fn absolute(base: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn paths_become_absolute() {
        for (base, path, expected) in [
            ("/app", "src", "/app/src"),
            ("/app", "../x/./y//", "/x/y"),
            ("/", "../../..", "/"),
            ("/app", "/etc", "/etc"),
            ("/app", ".", "/app"),
        ] {
            assert_eq!(absolute(base, path), expected);
        }
    }
}
